/** Evaluating a commit again: for bearers of tokens of the scope admin. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { formatAttributePath, matchesGlob, rerunRevision } from '../../evaluations/index.ts';
import { notFound, problem } from '../problem.ts';
import { adminOnly } from './access.ts';
import type { ActionContext } from './action-routes.ts';
import { idParams } from './routes.ts';
import { problemSchema } from './schemas.ts';

export function rerunRoutes({ access, onRevisionChanged }: ActionContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', async (request) => access.requireAdmin(request));

    app.post(
      '/revisions/:id/rerun',
      {
        schema: {
          operationId: 'rerunRevision',
          summary: 'Evaluate a commit again, and build what failed once more',
          description:
            'As the command `/ci rerun` does. What evaluated well is known, and what was built is there, so that ' +
            'what is really done again is what failed. A commit that was never evaluated is evaluated.',
          tags: ['Revisions'],
          ...adminOnly,
          params: idParams,
          body: z
            .object({
              scope: z
                .enum(['all', 'failed'])
                .default('all')
                .describe('`failed`: only where something failed'),
              pattern: z
                .string()
                .min(1)
                .max(500)
                .optional()
                .describe('Of what failed, only attributes that fit; `*` and `?` stand for anything'),
            })
            .default({ scope: 'all' }),
          response: {
            202: z.object({
              id: z.number().int(),
              evaluationId: z.number().int(),
              attributes: z.number().int().describe('Attributes that had failed and are tried again'),
            }),
            '4xx': problemSchema,
          },
        },
      },
      async (request, reply) => {
        const { id } = request.params;
        const { scope, pattern } = request.body;
        const rerun = await access.readerOf(request).db.transaction((trx) =>
          rerunRevision(trx, {
            revisionId: id,
            scope,
            ...(pattern === undefined
              ? {}
              : { chosen: (path) => matchesGlob(pattern, formatAttributePath(path)) }),
            onRevisionChanged,
          }),
        );
        if (rerun.kind === 'started') {
          const { evaluationId, attributes } = rerun;
          return reply.code(202).send({ id, evaluationId, attributes });
        }
        if (rerun.kind === 'unknown') throw notFound('revision');
        throw problem(409, rerun.kind, refusals[rerun.kind]);
      },
    );
  };
}

const refusals = {
  'under-way': 'An evaluation of this commit is under way.',
  'needs-approval':
    'This commit waits for approval, which only people with write permission give, on GitHub.',
  'at-rest': 'The project is paused, or the App does not see its repository any more.',
  'nothing-failed': 'Nothing of this commit failed.',
} as const;
