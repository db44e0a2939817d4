/** Putting projects to rest and waking them up: for bearers of tokens of the scope admin. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { setProjectEnabled } from '../../projects/index.ts';
import { notFound } from '../problem.ts';
import { findProject } from '../read/projects.ts';
import { readDefaultHeads } from '../read/revision-lines.ts';
import { adminOnly } from './access.ts';
import { type ApiContext, projectParams } from './routes.ts';
import { problemSchema, projectSchema } from './schemas.ts';
import { projectShape } from './shapes.ts';

const actions = {
  disable: {
    enabled: false,
    summary: 'Pause a project: what is pushed there is not evaluated, and GitHub is told nothing',
    description: 'What is under way goes on to its end. Results stay.',
  },
  enable: {
    enabled: true,
    summary: 'Let a paused project go on, with the next push',
    description: 'What was pushed meanwhile is not made up for.',
  },
} as const;

export function projectActionRoutes({ access, publicUrl }: ApiContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', async (request) => access.requireAdmin(request));
    for (const action of ['disable', 'enable'] as const) {
      const { enabled, summary, description } = actions[action];
      app.post(
        `/projects/:owner/:name/${action}`,
        {
          schema: {
            operationId: `${action}Project`,
            summary,
            description,
            tags: ['Projects'],
            ...adminOnly,
            params: projectParams,
            response: { 200: projectSchema, '4xx': problemSchema },
          },
        },
        async (request) => {
          const reader = access.readerOf(request);
          const { owner, name } = request.params;
          const known = await findProject(reader, owner, name);
          if (known) await setProjectEnabled(reader.db, known.id, enabled);
          const row = known && (await findProject(reader, owner, name));
          if (!row) throw notFound('project');
          const heads = await readDefaultHeads(reader, [row.id]);
          return projectShape(row, heads.get(`${row.owner}/${row.name}`), publicUrl());
        },
      );
    }
  };
}
