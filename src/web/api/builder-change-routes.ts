/** What operators decide on builders there are: for bearers of tokens of the scope admin. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type BuilderChange, changeBuilder, removeBuilder } from '../../builders/index.ts';
import { type Access, adminOnly } from './access.ts';
import { asProblems, needBuilder } from './builder-requests.ts';
import { builderSchema, builderShape } from './builder-shape.ts';
import { idParams } from './routes.ts';
import { problemSchema } from './schemas.ts';

const tags = ['Builders'];

const words = z.array(z.string().max(64)).max(100);
const change = z
  .strictObject({
    enabled: z.boolean().optional().describe('True also ends draining, resting and a quarantine'),
    draining: z.boolean().optional(),
    speed: z.number().positive().max(1000).optional(),
    slots: z
      .number()
      .int()
      .min(1)
      .max(1024)
      .nullable()
      .optional()
      .describe('Of an agent this and the next two limit what it offers by itself; null ends the limit'),
    systems: words.nullable().optional(),
    features: words.nullable().optional(),
    mandatoryFeatures: words.optional().describe('It takes only builds that require all of these'),
    trustDomains: words.min(1).optional().describe('Trust domains whose builds it may see'),
  })
  .refine((wishes) => Object.keys(wishes).length > 0, 'names nothing to change');

export function builderChangeRoutes(access: Access): FastifyPluginAsyncZod {
  return async (app) => {
    app.patch(
      '/builders/:id',
      {
        schema: {
          operationId: 'changeBuilder',
          summary: 'Change a builder; what runs there goes on',
          description:
            'What a builder has (slots, systems, features, trust) is changed of those alone that operators ' +
            'have registered; the others are described by the configuration file, or by their server.',
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
        await asProblems(changeBuilder(reader.db, name, request.body));
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
        await asProblems(removeBuilder(db, name));
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
          await asProblems(changeBuilder(reader.db, name, shortcuts[action]));
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

const shortcuts = {
  enable: { enabled: true },
  disable: { enabled: false },
  drain: { draining: true },
} as const satisfies Record<string, BuilderChange>;
