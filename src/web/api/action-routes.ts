/** Changing builds and evaluations: for bearers of tokens of the scope admin. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { askForCheck, bumpPriority, cancelCheck, checkRefusals } from '../../builds/index.ts';
import {
  cancelBuild,
  cancelEvaluations,
  type OnRevisionChanged,
  restartBuild,
} from '../../evaluations/index.ts';
import { notFound, problem } from '../problem.ts';
import { type Access, adminOnly } from './access.ts';
import { idParams } from './routes.ts';
import { problemSchema } from './schemas.ts';

export interface ActionContext {
  readonly access: Access;
  readonly onRevisionChanged: OnRevisionChanged;
}

const why = 'Cancelled through the API.';
const done = z.object({
  id: z.number().int(),
  cancelled: z.boolean().describe('False: it was over already'),
});

export function actionRoutes({ access, onRevisionChanged }: ActionContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', async (request) => access.requireAdmin(request));

    app.post(
      '/builds/:id/cancel',
      {
        schema: {
          operationId: 'cancelBuild',
          summary: 'Cancel a build, whoever wants it, with what depends on it',
          description:
            'One that runs ends within seconds. Inputs that nothing else needs are cancelled, too.',
          tags: ['Builds'],
          ...adminOnly,
          params: idParams,
          response: { 200: done, '4xx': problemSchema },
        },
      },
      async (request) => {
        const { id } = request.params;
        const { db } = access.readerOf(request);
        await needRow(db('builds').select('id').where({ id }).first(), 'build');
        const cancelled = await db.transaction((trx) => cancelBuild(trx, id, { why, onRevisionChanged }));
        return { id, cancelled };
      },
    );

    app.post(
      '/builds/:id/bump',
      {
        schema: {
          operationId: 'bumpBuild',
          summary: 'Put an unfinished build, and what it waits for, before others',
          tags: ['Builds'],
          ...adminOnly,
          params: idParams,
          response: {
            200: z.object({
              id: z.number().int(),
              bumped: z.number().int().describe('Builds that go before others now; 0: it was over'),
            }),
            '4xx': problemSchema,
          },
        },
      },
      async (request) => {
        const { id } = request.params;
        const { db } = access.readerOf(request);
        await needRow(db('builds').select('id').where({ id }).first(), 'build');
        return { id, bumped: await db.transaction((trx) => bumpPriority(trx, id)) };
      },
    );

    app.post(
      '/builds/:id/restart',
      {
        schema: {
          operationId: 'restartBuild',
          summary: 'Try a build that ended badly again',
          description:
            'A finished build never changes: its failure is forgotten, and the commits that wanted it get a ' +
            'new evaluation, which has the new build.',
          tags: ['Builds'],
          ...adminOnly,
          params: idParams,
          response: {
            200: z.object({ id: z.number().int(), evaluationIds: z.array(z.number().int()) }),
            '4xx': problemSchema,
          },
        },
      },
      async (request) => {
        const { id } = request.params;
        const { db } = access.readerOf(request);
        const restart = await db.transaction((trx) => restartBuild(trx, id, onRevisionChanged));
        if (restart.kind === 'restarted') return { id, evaluationIds: [...restart.evaluationIds] };
        if (restart.kind === 'unknown') throw notFound('build');
        throw problem(409, `build-${restart.kind}`, restartRefusals[restart.kind]);
      },
    );

    app.post(
      '/builds/:id/check',
      {
        schema: {
          operationId: 'checkBuild',
          summary: 'Build what succeeded once more, to see whether the same comes out',
          description:
            'It is built when a builder is free. What is found stands among the `checks` of the build and ' +
            'changes no result.',
          tags: ['Builds'],
          ...adminOnly,
          params: idParams,
          response: {
            202: z.object({
              id: z.number().int(),
              checkId: z.number().int().describe('The one that waits or runs already, if there is one'),
            }),
            '4xx': problemSchema,
          },
        },
      },
      async (request, reply) => {
        const { id } = request.params;
        const { db } = access.readerOf(request);
        const asked = await db.transaction((trx) => askForCheck(trx, id, 'the API'));
        if ('checkId' in asked) return reply.code(202).send({ id, checkId: asked.checkId });
        if (asked.kind === 'unknown') throw notFound('build');
        throw problem(409, `build-${asked.kind}`, checkRefusals[asked.kind]);
      },
    );

    app.delete(
      '/builds/:id/check',
      {
        schema: {
          operationId: 'cancelCheck',
          summary: 'Call off the check of a build that waits or runs',
          tags: ['Builds'],
          ...adminOnly,
          params: idParams,
          response: { 200: done, '4xx': problemSchema },
        },
      },
      async (request) => {
        const { id } = request.params;
        const { db } = access.readerOf(request);
        await needRow(db('builds').select('id').where({ id }).first(), 'build');
        return { id, cancelled: await db.transaction((trx) => cancelCheck(trx, id)) };
      },
    );

    app.post(
      '/evaluations/:id/cancel',
      {
        schema: {
          operationId: 'cancelEvaluation',
          summary: 'Cancel an evaluation, with the builds that no other one needs',
          tags: ['Evaluations'],
          ...adminOnly,
          params: idParams,
          response: { 200: done, '4xx': problemSchema },
        },
      },
      async (request) => {
        const { id } = request.params;
        const { db } = access.readerOf(request);
        await needRow(db('evaluations').select('id').where({ id }).first(), 'evaluation');
        const ended = await db.transaction((trx) => cancelEvaluations(trx, [id], { why, onRevisionChanged }));
        return { id, cancelled: ended.length > 0 };
      },
    );
  };
}

/** Why a build cannot be tried again, for people. */
export const restartRefusals = {
  unfinished: 'The build is not over yet.',
  succeeded: 'The build succeeded; its results are there.',
  'not-wanted': 'No commit wants this build any more.',
} as const;

async function needRow(query: PromiseLike<unknown>, what: string): Promise<void> {
  if ((await query) === undefined) throw notFound(what);
}
