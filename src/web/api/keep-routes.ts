/** Keeping results: for bearers of tokens of the scope admin. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { keepBuild, keepRefusals, keptSince, letGoOfBuild } from '../../builds/index.ts';
import { notFound, problem } from '../problem.ts';
import { type Access, adminOnly } from './access.ts';
import { idParams } from './routes.ts';
import { problemSchema } from './schemas.ts';

const keptSchema = z.object({ id: z.number().int(), keptAt: z.iso.datetime().nullable() });

export function keepRoutes(access: Access): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', async (request) => access.requireAdmin(request));

    app.put(
      '/builds/:id/keep',
      {
        schema: {
          operationId: 'keepBuild',
          summary: 'Keep the results of a build until they are let go',
          description:
            'They have roots within a minute, so that Nix does not collect them, and the build stays in the history.',
          tags: ['Builds'],
          ...adminOnly,
          params: idParams,
          response: { 200: keptSchema, '4xx': problemSchema },
        },
      },
      async (request) => {
        const { id } = request.params;
        const { db } = access.readerOf(request);
        const keeping = await db.transaction((trx) => keepBuild(trx, id, 'the API'));
        if (keeping === 'unknown') throw notFound('build');
        if (keeping !== 'kept' && keeping !== 'kept-before') {
          throw problem(409, `build-${keeping}`, `Build ${id}: ${keepRefusals[keeping]}.`);
        }
        return { id, keptAt: (await keptSince(db, id))?.toISOString() ?? null };
      },
    );

    app.delete(
      '/builds/:id/keep',
      {
        schema: {
          operationId: 'letGoOfBuild',
          summary: 'Let go the results of a build that were kept',
          description: 'They stay as long as the retention of a branch keeps them.',
          tags: ['Builds'],
          ...adminOnly,
          params: idParams,
          response: { 204: z.null().describe('Not kept any more, or it never was'), '4xx': problemSchema },
        },
      },
      async (request, reply) => {
        await letGoOfBuild(access.readerOf(request).db, request.params.id);
        return reply.code(204).send(null);
      },
    );
  };
}
