/** Machines that build: reading of them for everybody, deciding on them for bearers of the scope admin. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { addBuilder, renewBuilderToken } from '../../builders/index.ts';
import { listBuilders } from '../read/machines.ts';
import { type Access, adminOnly } from './access.ts';
import { builderChangeRoutes } from './builder-change-routes.ts';
import { asProblems, needBuilder } from './builder-requests.ts';
import { builderSchema, builderShape } from './builder-shape.ts';
import { pageOf, pageQuery, readCursor } from './paging.ts';
import { idParams } from './routes.ts';
import { listOf, problemSchema } from './schemas.ts';

const tags = ['Builders'];
const words = z.array(z.string().max(64)).max(100);
const speed = z.number().positive().max(1000);

const registration = z.object({
  name: z.string().max(63),
  uri: z.string().max(2000).optional().describe('`ssh-ng://…`; without one it is an agent'),
  systems: words.optional().describe('For an agent these three limit what it offers by itself'),
  features: words.optional(),
  slots: z.number().int().min(1).max(1024).optional(),
  mandatoryFeatures: words.optional().describe('It takes only builds that require all of these'),
  trustDomains: words.optional().describe('Default: trusted'),
  speed: speed.optional(),
});

const agentToken = z.string().describe('For `ringmaster agent --token-file`; shown in this answer alone');

export function builderRoutes(access: Access): FastifyPluginAsyncZod {
  return async (app) => {
    await app.register(readingRoutes(access));
    await app.register(async (scope) => {
      scope.addHook('onRequest', async (request) => access.requireAdmin(request));
      await scope.register(registeringRoutes(access));
      await scope.register(builderChangeRoutes(access));
    });
  };
}

function readingRoutes(access: Access): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/builders',
      {
        schema: {
          operationId: 'listBuilders',
          summary: 'Machines that build, and how they are',
          tags,
          querystring: pageQuery,
          response: { 200: listOf(builderSchema), '4xx': problemSchema },
        },
      },
      async (request, reply) => {
        const reader = access.readerOf(request);
        const { limit, cursor } = request.query;
        const rows = await listBuilders(reader, { after: readCursor(cursor, 0), limit: limit + 1 });
        const shape = (row: (typeof rows)[number]) => builderShape(row, reader.showPrivate);
        return pageOf(request, reply, rows, limit, shape, (row) => row.id);
      },
    );

    app.get(
      '/builders/:id',
      {
        schema: {
          operationId: 'getBuilder',
          summary: 'One machine',
          tags,
          params: idParams,
          response: { 200: builderSchema, '4xx': problemSchema },
        },
      },
      async (request) => {
        const reader = access.readerOf(request);
        return builderShape(await needBuilder(reader, request.params.id), reader.showPrivate);
      },
    );
  };
}

function registeringRoutes(access: Access): FastifyPluginAsyncZod {
  return async (app) => {
    app.post(
      '/builders',
      {
        schema: {
          operationId: 'addBuilder',
          summary: 'Register a machine; the token of an agent is in the answer and nowhere else',
          tags,
          ...adminOnly,
          body: registration,
          response: {
            201: builderSchema.extend({ token: agentToken.nullable() }),
            '4xx': problemSchema,
          },
        },
      },
      async (request, reply) => {
        const reader = access.readerOf(request);
        const { id, token } = await asProblems(addBuilder(reader.db, request.body));
        const row = await needBuilder(reader, id);
        reply.header('cache-control', 'no-store').header('location', `/api/v1/builders/${id}`);
        return reply.code(201).send({ ...builderShape(row, true), token: token ?? null });
      },
    );

    app.post(
      '/builders/:id/token',
      {
        schema: {
          operationId: 'renewBuilderToken',
          summary: 'Make a new token for an agent; the old one is worth nothing from then on',
          tags,
          ...adminOnly,
          params: idParams,
          response: { 201: z.object({ id: z.number().int(), token: agentToken }), '4xx': problemSchema },
        },
      },
      async (request, reply) => {
        const reader = access.readerOf(request);
        const { id, name } = await needBuilder(reader, request.params.id);
        const token = await asProblems(renewBuilderToken(reader.db, name));
        return reply.header('cache-control', 'no-store').code(201).send({ id, token });
      },
    );
  };
}
