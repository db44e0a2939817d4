/** The REST API: finding things, and what became of an attribute over time. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { attributePathFromUrl, formatAttributePath } from '../../evaluations/index.ts';
import { jobLink, projectLink, pullRequestLink, revisionLink } from '../links.ts';
import { notFound, problem } from '../problem.ts';
import { type AttributeHistoryRow, listAttributeHistory } from '../read/attribute-history.ts';
import { findProject } from '../read/projects.ts';
import { type SearchHit, search } from '../read/search.ts';
import { pageOf, pageQuery, readCursor } from './paging.ts';
import { type ApiContext, projectParams } from './routes.ts';
import { jobSchema, listOf, problemSchema } from './schemas.ts';
import { jobShape } from './shapes.ts';

const hitSchema = z
  .object({
    kind: z.enum(['project', 'revision', 'branch', 'pull-request', 'tag', 'attribute']),
    project: z.string().describe('owner/name'),
    name: z.string().describe('Of the branch, tag, pull request or attribute; else empty'),
    title: z.string().describe('Of the commit or pull request; else empty'),
    sha: z.string().nullable(),
    path: z.array(z.string()).nullable().describe('Of an attribute'),
    url: z.string().describe('Its page'),
  })
  .meta({ id: 'SearchHit' });

const datedJobSchema = jobSchema
  .extend({
    sha: z.string(),
    title: z.string(),
    queuedAt: z.iso.datetime(),
    url: z.string().describe('Its page'),
  })
  .meta({ id: 'DatedJob', description: 'A job with the commit that it belongs to' });

const attributeQuery = z.object({
  attribute: z
    .string()
    .min(1)
    .max(2000)
    .describe('Attribute path as in addresses of pages: names joined by dots, other characters as `~XX`'),
  branch: z.string().min(1).max(255).optional().describe('The default branch without it'),
});

/** Search, and the history of attributes. */
export function findingRoutes({ access, publicUrl }: ApiContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/search',
      {
        schema: {
          operationId: 'search',
          summary: 'Projects, commits, branches, tags, pull requests and attributes by a piece of their name',
          description:
            'Commits also by the start of their SHA, attributes by a piece of a derivation. A few of each.',
          tags: ['Projects'],
          querystring: z.object({ q: z.string().min(1).max(200) }),
          response: { 200: z.object({ items: z.array(hitSchema) }), '4xx': problemSchema },
        },
      },
      async (request) => {
        const hits = await search(access.readerOf(request), request.query.q);
        return { items: hits.map((hit) => hitShape(hit, publicUrl())) };
      },
    );

    app.get(
      '/projects/:owner/:name/attribute-history',
      {
        schema: {
          operationId: 'listAttributeHistory',
          summary: 'What became of an attribute in the evaluations of a branch, newest first',
          tags: ['Projects'],
          params: projectParams,
          querystring: pageQuery.extend(attributeQuery.shape),
          response: { 200: listOf(datedJobSchema), 404: problemSchema, '4xx': problemSchema },
        },
      },
      async (request, reply) => {
        const { limit, cursor } = request.query;
        const before = cursor === undefined ? undefined : readCursor(cursor, 0);
        const rows = await history(request, { before, good: false, limit: limit + 1 });
        const shape = (row: AttributeHistoryRow) => datedJobShape(row, publicUrl());
        return pageOf(request, reply, rows, limit, shape, (row) => row.evaluation_id);
      },
    );

    app.get(
      '/projects/:owner/:name/latest',
      {
        schema: {
          operationId: 'getLatestGood',
          summary: 'The newest result of an attribute that was built',
          description: '`outputs` are paths that the binary cache has, as long as they are kept.',
          tags: ['Projects'],
          params: projectParams,
          querystring: attributeQuery,
          response: { 200: datedJobSchema, 404: problemSchema, '4xx': problemSchema },
        },
      },
      async (request) => {
        const [row] = await history(request, { before: undefined, good: true, limit: 1 });
        if (!row) throw notFound('result of this attribute');
        return datedJobShape(row, publicUrl());
      },
    );

    async function history(
      request: Parameters<typeof access.readerOf>[0] & {
        readonly params: z.infer<typeof projectParams>;
        readonly query: z.infer<typeof attributeQuery>;
      },
      part: { readonly before: number | undefined; readonly good: boolean; readonly limit: number },
    ): Promise<AttributeHistoryRow[]> {
      const reader = access.readerOf(request);
      const project = await findProject(reader, request.params.owner, request.params.name);
      if (!project) throw notFound('project');
      const path = attributePathFromUrl(request.query.attribute);
      if (!path)
        throw problem(400, 'bad-attribute', 'This is no attribute path as addresses of pages have it.');
      const branch = request.query.branch ?? project.default_branch;
      return listAttributeHistory(reader, { projectId: project.id, branch, path, ...part });
    }
  };
}

function datedJobShape(row: AttributeHistoryRow, base: string): z.infer<typeof datedJobSchema> {
  const { sha, title, queued_at } = row;
  return { ...jobShape(row), sha, title, queuedAt: queued_at.toISOString(), url: `${base}${jobLink(row)}` };
}

function hitShape(hit: SearchHit, base: string): z.infer<typeof hitSchema> {
  const { kind, owner, project, sha, path } = hit;
  const isAttribute = kind === 'attribute';
  const named = kind === 'branch' || kind === 'tag' || kind === 'pull-request';
  return {
    kind,
    project: `${owner}/${project}`,
    name: isAttribute && path ? formatAttributePath(path) : named ? hit.label : '',
    title: kind === 'revision' ? hit.label : named || isAttribute ? hit.detail : '',
    ...{ sha, path },
    url: `${base}${pageOfHit(hit)}`,
  };
}

function pageOfHit({ kind, owner, project, sha, label, path }: SearchHit): string {
  const at = { owner, project };
  if (kind === 'attribute' && sha !== null && path) return jobLink({ ...at, sha, path });
  if (kind === 'pull-request') return pullRequestLink(at, label);
  if (sha !== null) return revisionLink({ ...at, sha });
  if (kind === 'branch')
    return `${projectLink(at)}/tree/${label.split('/').map(encodeURIComponent).join('/')}`;
  return projectLink(at);
}
