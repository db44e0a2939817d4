import swagger from '@fastify/swagger';
import fastify, { type FastifyInstance } from 'fastify';
import {
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod';
import knex from 'knex';
import { silentLogger } from '../../basics/index.ts';
import { createEventStreams } from '../live/event-stream.ts';
import { createFanOut } from '../live/fan-out.ts';
import { createAccess } from './access.ts';
import { registerApi } from './api.ts';

/** Collects the schemas of all routes that are registered after it into an OpenAPI 3.1 document. */
export async function registerOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    // Pages and streams for pages have no tags; the document is about the API.
    hideUntagged: true,
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Ringmaster',
        version,
        summary: 'Continuous integration for Nix on GitHub',
        description:
          'Lists come in pages: pass `nextCursor` as `cursor`, or follow the `Link` header. Errors are ' +
          '`application/problem+json` with a stable `code`. Names of fields are stable within a version ' +
          'of the API; new ones may appear.',
        license: { name: 'MPL-2.0', identifier: 'MPL-2.0' },
      },
      servers: [{ url: '/', description: 'The server that serves this document' }],
      tags: [
        { name: 'Projects', description: 'Repositories under CI' },
        { name: 'Revisions', description: 'Commits, with the branches and pull requests that brought them' },
        { name: 'Evaluations', description: 'Evaluations of a revision’s ci.nix, and the jobs found there' },
        { name: 'Jobs', description: 'Attributes' },
        { name: 'Builds', description: 'Derivations being realised, and their logs' },
        { name: 'Builders', description: 'Machines that build, and what waits for them' },
        { name: 'Tokens', description: 'Who may use this API' },
      ],
      security: [],
      components: {
        securitySchemes: {
          token: {
            type: 'http',
            scheme: 'bearer',
            description:
              'Made by `ringmaster token create`. Any token sees private repositories; what changes things needs the scope admin.',
          },
        },
      },
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
}

/** The document as it stands in the reference: nothing is served and no database is asked. */
export async function openApiDocument(): Promise<object> {
  const app = fastify();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  await registerOpenApi(app, 'v1');
  const log = silentLogger();
  await registerApi(app, {
    access: createAccess({ db: knex({ client: 'pg' }), showPrivate: false }),
    onRevisionChanged: async () => {},
    publicUrl: () => '',
    streams: createEventStreams(),
    logs: createFanOut(async () => () => {}, 'none', log),
  });
  await app.ready();
  return app.swagger();
}
