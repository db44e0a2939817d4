/** The REST API, version 1: what it tells. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { countChanged, readChanges } from '../../evaluations/index.ts';
import { notFound } from '../problem.ts';
import { readEvaluation } from '../read/evaluations.ts';
import { listImports } from '../read/imports.ts';
import { jobStates, pageJobs, readJob } from '../read/jobs.ts';
import { findProject, listProjects } from '../read/projects.ts';
import { countQueue, listQueue } from '../read/queue.ts';
import { listRevisions, readDefaultHeads, readRevision } from '../read/revision-lines.ts';
import type { Access } from './access.ts';
import { changeSchema, changeShape, changesBaseSchema } from './changes-shape.ts';
import { pageOf, pageQuery, readCursor } from './paging.ts';
import {
  evaluationDetailsSchema,
  importSchema,
  jobSchema,
  listOf,
  problemSchema,
  projectSchema,
  queuedBuildSchema,
  revisionSchema,
} from './schemas.ts';
import {
  evaluationDetailsShape,
  importShape,
  jobShape,
  projectShape,
  queuedBuildShape,
  revisionShape,
} from './shapes.ts';

export interface ApiContext {
  readonly access: Access;
  publicUrl(): string;
}

export const idParams = z.object({ id: z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER) });
export const projectParams = z.object({ owner: z.string().max(100), name: z.string().max(200) });
const errors = { 404: problemSchema, '4xx': problemSchema } as const;

/** Projects, revisions, evaluations and jobs. */
export function resultRoutes({ access, publicUrl }: ApiContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/projects',
      {
        schema: {
          operationId: 'listProjects',
          summary: 'Repositories under CI',
          tags: ['Projects'],
          querystring: pageQuery,
          response: { 200: listOf(projectSchema), '4xx': problemSchema },
        },
      },
      async (request, reply) => {
        const reader = access.readerOf(request);
        const { limit, cursor } = request.query;
        const rows = await listProjects(reader, { after: readCursor(cursor, 0), limit: limit + 1 });
        const heads = await readDefaultHeads(
          reader,
          rows.slice(0, limit).map((row) => row.id),
        );
        const shape = (row: (typeof rows)[number]) =>
          projectShape(row, heads.get(`${row.owner}/${row.name}`), publicUrl());
        return pageOf(request, reply, rows, limit, shape, (row) => row.id);
      },
    );

    app.get(
      '/projects/:owner/:name',
      {
        schema: {
          operationId: 'getProject',
          summary: 'One project, by its name on GitHub',
          tags: ['Projects'],
          params: projectParams,
          response: { 200: projectSchema, ...errors },
        },
      },
      async (request) => {
        const reader = access.readerOf(request);
        const row = await findProject(reader, request.params.owner, request.params.name);
        if (!row) throw notFound('project');
        const heads = await readDefaultHeads(reader, [row.id]);
        return projectShape(row, heads.get(`${row.owner}/${row.name}`), publicUrl());
      },
    );

    app.get(
      '/projects/:owner/:name/revisions',
      {
        schema: {
          operationId: 'listRevisions',
          summary: 'Revisions of a project, newest first',
          tags: ['Projects'],
          params: projectParams,
          querystring: pageQuery,
          response: { 200: listOf(revisionSchema), ...errors },
        },
      },
      async (request, reply) => {
        const reader = access.readerOf(request);
        const project = await findProject(reader, request.params.owner, request.params.name);
        if (!project) throw notFound('project');
        const { limit, cursor } = request.query;
        const before = cursor === undefined ? undefined : readCursor(cursor, 0);
        const rows = await listRevisions(reader, project.id, { before, limit: limit + 1 });
        const shape = (row: (typeof rows)[number]) => revisionShape(row, publicUrl());
        return pageOf(request, reply, rows, limit, shape, (row) => row.id);
      },
    );

    app.get(
      '/revisions/:id',
      {
        schema: {
          operationId: 'getRevision',
          summary: 'One revision with its newest evaluation',
          tags: ['Revisions'],
          params: idParams,
          response: { 200: revisionSchema, ...errors },
        },
      },
      async (request) => {
        const reader = access.readerOf(request);
        const row = await readRevision(reader, request.params.id);
        if (!row) throw notFound('revision');
        return revisionShape(row, publicUrl());
      },
    );

    app.get(
      '/evaluations/:id',
      {
        schema: {
          operationId: 'getEvaluation',
          summary: 'One evaluation with its counts',
          tags: ['Evaluations'],
          params: idParams,
          response: { 200: evaluationDetailsSchema, ...errors },
        },
      },
      async (request) => {
        const reader = access.readerOf(request);
        const row = await readEvaluation(reader, request.params.id);
        if (!row) throw notFound('evaluation');
        return evaluationDetailsShape(row, publicUrl());
      },
    );

    app.get(
      '/evaluations/:id/jobs',
      {
        schema: {
          operationId: 'listJobs',
          summary: 'Jobs of an evaluation',
          tags: ['Evaluations'],
          params: idParams,
          querystring: pageQuery.extend({
            state: z.enum(jobStates).optional(),
            query: z.string().max(200).default('').describe('Part of an attribute path or derivation name'),
          }),
          response: { 200: listOf(jobSchema), ...errors },
        },
      },
      async (request, reply) => {
        const reader = access.readerOf(request);
        const evaluation = await readEvaluation(reader, request.params.id);
        if (!evaluation) throw notFound('evaluation');
        const { limit, cursor, state, query } = request.query;
        const filter = { after: readCursor(cursor, 0), limit: limit + 1, state, query };
        const rows = await pageJobs(reader, request.params.id, filter);
        return pageOf(request, reply, rows, limit, jobShape, (row) => row.id);
      },
    );

    app.get(
      '/evaluations/:id/imports',
      {
        schema: {
          operationId: 'listImports',
          summary: 'What was built while evaluating',
          description:
            'Import from derivation: builds that took place because the evaluation reads what they make. ' +
            'Their logs are those of their builds.',
          tags: ['Evaluations'],
          params: idParams,
          querystring: pageQuery,
          response: { 200: listOf(importSchema), ...errors },
        },
      },
      async (request, reply) => {
        const reader = access.readerOf(request);
        const evaluation = await readEvaluation(reader, request.params.id);
        if (!evaluation) throw notFound('evaluation');
        const { limit, cursor } = request.query;
        const after = readCursor(cursor, 0);
        const rows = await listImports(reader, evaluation.evaluation.id, { after, limit: limit + 1 });
        return pageOf(request, reply, rows, limit, importShape, (row) => row.build_id);
      },
    );

    app.get(
      '/evaluations/:id/changes',
      {
        schema: {
          operationId: 'listChanges',
          summary: 'What an evaluation changed against its base, and why',
          description:
            'Attributes that were added, removed or became other derivations, compared with the newest ' +
            'evaluation of the branch it goes to.',
          tags: ['Evaluations'],
          params: idParams,
          querystring: pageQuery,
          response: { 200: listOf(changeSchema).extend(changesBaseSchema.shape), ...errors },
        },
      },
      async (request, reply) => {
        const reader = access.readerOf(request);
        const row = await readEvaluation(reader, request.params.id);
        if (!row) throw notFound('evaluation');
        const found = await readChanges(reader.db, row.evaluation.id);
        const { limit, cursor } = request.query;
        const offset = readCursor(cursor, 0);
        const rows = found?.attributes.slice(offset, offset + limit + 1) ?? [];
        const page = pageOf(request, reply, rows, limit, changeShape, (_row, index) => offset + index + 1);
        return {
          ...page,
          base: found ? { sha: found.baseSha, branch: found.baseBranch } : null,
          counts: found?.counts ?? null,
          unkept: found ? countChanged(found.counts) - found.attributes.length : 0,
        };
      },
    );

    app.get(
      '/jobs/:id',
      {
        schema: {
          operationId: 'getJob',
          summary: 'One job: an attribute of an evaluation',
          tags: ['Jobs'],
          params: idParams,
          response: { 200: jobSchema, ...errors },
        },
      },
      async (request) => {
        const reader = access.readerOf(request);
        const row = await readJob(reader, request.params.id);
        if (!row) throw notFound('job');
        return jobShape(row);
      },
    );
  };
}

/** What waits for builders. */
export function queueRoutes({ access }: ApiContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/queue',
      {
        schema: {
          operationId: 'listQueue',
          summary: 'Unfinished builds: running, then ready, then waiting for inputs',
          description: 'The queue moves while it is read; a build may be seen twice or not at all.',
          tags: ['Builders'],
          querystring: pageQuery,
          response: {
            200: listOf(queuedBuildSchema).extend({
              totals: z.object({
                building: z.number().int(),
                queued: z.number().int(),
                blocked: z.number().int(),
              }),
            }),
            '4xx': problemSchema,
          },
        },
      },
      async (request, reply) => {
        const reader = access.readerOf(request);
        const { limit, cursor } = request.query;
        const offset = readCursor(cursor, 0);
        const [rows, totals] = await Promise.all([
          listQueue(reader, { offset, limit: limit + 1 }),
          countQueue(reader),
        ]);
        const page = pageOf(
          request,
          reply,
          rows,
          limit,
          queuedBuildShape,
          (_row, index) => offset + index + 1,
        );
        return { ...page, totals };
      },
    );
  };
}
