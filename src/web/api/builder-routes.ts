/** Machines that build: reading of them for everybody, deciding on them for bearers of the scope admin. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { OperatorError } from '../../basics/index.ts';
import { addBuilder, type BuilderChange, changeBuilder, renewBuilderToken } from '../../builders/index.ts';
import { notFound, problem } from '../problem.ts';
import { listBuilders, readBuilder } from '../read/machines.ts';
import type { Reader } from '../read/reader.ts';
import { type Access, adminOnly } from './access.ts';
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

const change = z
  .strictObject({
    enabled: z.boolean().optional().describe('True also ends draining, resting and a quarantine'),
    draining: z.boolean().optional(),
    speed: speed.optional(),
  })
  .refine((wishes) => Object.keys(wishes).length > 0, 'names nothing to change');

export function builderRoutes(access: Access): FastifyPluginAsyncZod {
  return async (app) => {
    await app.register(readingRoutes(access));
    await app.register(async (scope) => {
      scope.addHook('onRequest', async (request) => access.requireAdmin(request));
      await scope.register(registeringRoutes(access));
      await scope.register(changingRoutes(access));
    });
  };
}

async function needBuilder(reader: Reader, id: number) {
  const found = await readBuilder(reader, id);
  if (!found) throw notFound('builder');
  return found;
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

function changingRoutes(access: Access): FastifyPluginAsyncZod {
  return async (app) => {
    app.patch(
      '/builders/:id',
      {
        schema: {
          operationId: 'changeBuilder',
          summary: 'Change what an operator decides on a builder; what runs there goes on',
          tags,
          ...adminOnly,
          params: idParams,
          body: change,
          response: { 200: builderSchema, '4xx': problemSchema },
        },
      },
      async (request) => {
        const reader = access.readerOf(request);
        const { name } = await needBuilder(reader, request.params.id);
        await reader.db.transaction(async (trx) => {
          for (const step of stepsOf(request.body)) await asProblems(changeBuilder(trx, name, step));
        });
        return builderShape(await needBuilder(reader, request.params.id), true);
      },
    );

    app.delete(
      '/builders/:id',
      {
        schema: {
          operationId: 'removeBuilder',
          summary: 'Forget a builder and its token; what runs there is built elsewhere',
          description: 'One from the configuration file comes back with the next server that reads it.',
          tags,
          ...adminOnly,
          params: idParams,
          response: { 204: z.null().describe('Removed'), '4xx': problemSchema },
        },
      },
      async (request, reply) => {
        const { db } = access.readerOf(request);
        const { name } = await needBuilder(access.readerOf(request), request.params.id);
        await asProblems(changeBuilder(db, name, { kind: 'remove' }));
        return reply.code(204).send(null);
      },
    );

    for (const action of ['enable', 'disable', 'drain'] as const) {
      app.post(
        `/builders/:id/${action}`,
        {
          schema: {
            operationId: `${action}Builder`,
            summary: actions[action],
            tags,
            ...adminOnly,
            params: idParams,
            response: {
              200: z.object({ id: z.number().int(), changed: z.enum(['enable', 'disable', 'drain']) }),
              '4xx': problemSchema,
            },
          },
        },
        async (request) => {
          const reader = access.readerOf(request);
          const { id, name } = await needBuilder(reader, request.params.id);
          await asProblems(changeBuilder(reader.db, name, { kind: action }));
          return { id, changed: action };
        },
      );
    }
  };
}

const actions = {
  enable: 'Let a builder take builds again',
  disable: 'Let a builder take no more builds',
  drain: 'Let a builder finish what it has and take nothing new',
} as const;

/** Enabling comes first: it ends draining. */
function stepsOf(wishes: z.infer<typeof change>): readonly BuilderChange[] {
  const steps: BuilderChange[] = [];
  if (wishes.enabled !== undefined) steps.push({ kind: wishes.enabled ? 'enable' : 'disable' });
  if (wishes.draining !== undefined) steps.push({ kind: wishes.draining ? 'drain' : 'undrain' });
  if (wishes.speed !== undefined) steps.push({ kind: 'set-speed', speed: wishes.speed });
  return steps;
}

const statuses = new Map([
  ['builder-exists', 409],
  ['builder-invalid', 400],
  ['not-an-agent', 409],
  ['unknown-builder', 404],
]);

/** What the registry refuses, as answers; its hints speak of the command line and stay out. */
async function asProblems<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const status = error instanceof OperatorError ? statuses.get(error.code) : undefined;
    if (!(error instanceof OperatorError) || status === undefined) throw error;
    throw problem(status, error.code, error.message);
  }
}
