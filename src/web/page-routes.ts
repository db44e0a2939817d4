/** Addresses of the dashboard. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { readChanges } from '../evaluations/index.ts';
import { registerBuildPage } from './build-page-routes.ts';
import { registerJobPage } from './job-routes.ts';
import { forgeLinks, projectLink, pullRequestLink, revisionLink } from './links.ts';
import { streamChanges } from './live/change-stream.ts';
import { canonicalAddress, needProject, needRevision, type PageContext, sendPage } from './page-context.ts';
import { buildersPage } from './pages/builders.tsx';
import { homePage } from './pages/home.tsx';
import { importsShown } from './pages/imports.tsx';
import { projectPage } from './pages/project.tsx';
import { queuePage } from './pages/queue.tsx';
import { errorsShown, jobsPerPage, revisionPage } from './pages/revision.tsx';
import { troubledShown } from './pages/revision-banners.tsx';
import { searchPage } from './pages/search.tsx';
import { notFound } from './problem.ts';
import { createFirstErrors } from './read/first-error.ts';
import { listImports } from './read/imports.ts';
import { jobGroups, totalJobs } from './read/job-counts.ts';
import { countMatching, listEvaluationErrors, listJobs } from './read/jobs.ts';
import { listBuilders } from './read/machines.ts';
import { countActivity, listActiveProjects, type ProjectRow } from './read/projects.ts';
import { countQueue, listQueue } from './read/queue.ts';
import { readRevisionDetails } from './read/revision-details.ts';
import { listHeads, listHistory, type RevisionLine, readDefaultHeads } from './read/revision-lines.ts';
import { createProjectLookup } from './read/revision-projects.ts';
import { search } from './read/search.ts';
import { listTroubledReports } from './read/troubled-reports.ts';

const projectsOnHome = 100;
const rowsOfMachines = 200;
const buildersAtMost = 1_000;

const params = z.object({ owner: z.string(), project: z.string() });
const commitParams = params.extend({ sha: z.string() });
// A filter somebody typed wrong is no filter: a page is better than an error.
const jobsQuery = z.object({
  q: z.string().max(200).catch(''),
  group: z.enum(jobGroups).optional().catch(undefined),
  page: z.coerce.number().int().min(1).max(100_000).catch(1),
});

/** Registers all pages and the streams that keep them current. */
export function registerPages(
  app: FastifyInstance,
  parts: Omit<PageContext, 'forge' | 'firstErrors' | 'projectOf'>,
): void {
  const context: PageContext = {
    ...parts,
    forge: forgeLinks(parts.options.githubUrl()),
    firstErrors: createFirstErrors(parts.reader),
    projectOf: createProjectLookup(parts.reader),
  };
  registerServerPages(app, context);
  registerProjectPages(app, context);
  registerRevisionPages(app, context);
  registerJobPage(app, context);
  registerBuildPage(app, context);
}

const streaming = { exposeHeadRoute: false };

function registerServerPages(app: FastifyInstance, context: PageContext): void {
  const { reader, assets, options } = context;
  const frame = { assets, events: '/events' };

  app.get('/', async (_request, reply) => {
    const projects = await listActiveProjects(reader, { query: '', limit: projectsOnHome + 1 });
    const shown = projects.slice(0, projectsOnHome);
    const [heads, activity, totals] = await Promise.all([
      readDefaultHeads(
        reader,
        shown.map((project) => project.id),
      ),
      countActivity(reader),
      countQueue(reader),
    ]);
    const more = projects.length > shown.length;
    const notices = options.setupNotices();
    return sendPage(
      reply,
      homePage({ frame, projects: shown, heads, activity, totals, notices, more, now: new Date() }),
    );
  });

  app.get('/queue', async (_request, reply) => {
    const [rows, totals, builders] = await Promise.all([
      listQueue(reader, { offset: 0, limit: rowsOfMachines }),
      countQueue(reader),
      listBuilders(reader, { after: 0, limit: buildersAtMost }),
    ]);
    return sendPage(reply, queuePage({ frame, rows, totals, builders, now: new Date() }));
  });

  app.get('/builders', async (_request, reply) => {
    const builders = await listBuilders(reader, { after: 0, limit: buildersAtMost });
    const server = options.publicUrl();
    return sendPage(reply, buildersPage({ frame, builders, server, now: new Date() }));
  });

  app.get('/search', async (request, reply) => {
    const { q } = z.object({ q: z.string().max(200).catch('') }).parse(request.query);
    return sendPage(reply, searchPage({ assets }, q.trim(), await search(reader, q)));
  });

  app.get('/events', streaming, async (_request, reply) => {
    const stream = context.streams.open(reply);
    await streamChanges(stream, context.revisions, async (id) => (await context.projectOf(id)) !== undefined);
  });
}

function registerProjectPages(app: FastifyInstance, context: PageContext): void {
  const { reader, assets, forge } = context;

  app.get('/:owner/:project', async (request, reply) => {
    const project = await needProject(reader, params.parse(request.params));
    const name = { owner: project.owner, project: project.name };
    const [history, pullRequests, branches, tags] = await Promise.all([
      listHistory(reader, project.id, { kind: 'branch', name: project.default_branch, limit: 20 }),
      listHeads(reader, project.id, { kind: 'pull-request', limit: 25 }),
      listHeads(reader, project.id, { kind: 'branch', limit: 25 }),
      listHeads(reader, project.id, { kind: 'tag', limit: 10 }),
    ]);
    const frame = { assets, events: `${projectLink(name)}/events` };
    return sendPage(
      reply,
      projectPage({ frame, project, forge, history, pullRequests, branches, tags, now: new Date() }),
    );
  });

  app.get('/:owner/:project/events', streaming, async (request, reply) => {
    const project = await needProject(reader, params.parse(request.params));
    const stream = context.streams.open(reply);
    await streamChanges(
      stream,
      context.revisions,
      async (id) => (await context.projectOf(id)) === project.id,
    );
  });

  app.get('/:owner/:project/tree/*', async (request, reply) => {
    const { '*': branch, ...name } = params.extend({ '*': z.string() }).parse(request.params);
    const project = await needProject(reader, name);
    const [line] = await listHistory(reader, project.id, { kind: 'branch', name: branch, limit: 1 });
    if (!line) throw notFound('branch');
    return reply.redirect(revisionLink(line));
  });
}

function registerRevisionPages(app: FastifyInstance, context: PageContext): void {
  const { reader, assets, forge } = context;

  async function showRevision(
    project: ProjectRow,
    line: RevisionLine,
    events: string,
    query: unknown,
  ): Promise<string> {
    const { q, group, page } = jobsQuery.parse(query);
    const evaluation = line.evaluation;
    const offset = (page - 1) * jobsPerPage;
    const known = group ? line.counts[group] : totalJobs(line.counts);
    const [troubled, details] = await Promise.all([
      listTroubledReports(reader, line.id, troubledShown + 1),
      readRevisionDetails(reader, line),
    ]);
    const changes = evaluation ? await readChanges(reader.db, evaluation.id) : undefined;
    const [errors, imports, jobs, matching] = evaluation
      ? await Promise.all([
          listEvaluationErrors(reader, evaluation.id, errorsShown),
          listImports(reader, evaluation.id, { limit: importsShown }),
          listJobs(reader, evaluation.id, { query: q, group, offset, limit: jobsPerPage }),
          q === '' ? known : countMatching(reader, evaluation.id, { query: q, group }),
        ])
      : [[], [], [], 0];
    const filter = { query: q, group, page };
    const frame = { assets, events };
    const found = { changes, errors, imports, troubled, details, jobs, matching };
    return revisionPage({ frame, project, line, forge, ...found, filter, now: new Date() });
  }

  app.get('/:owner/:project/commit/:sha', async (request, reply) => {
    const address = commitParams.parse(request.params);
    const project = await needProject(reader, address);
    const line = await needRevision(reader, project, address.sha);
    const canonical = canonicalAddress(line, address);
    if (canonical) return reply.redirect(canonical);
    return sendPage(reply, showRevision(project, line, `${revisionLink(line)}/events`, request.query));
  });

  app.get('/:owner/:project/pull/:number', async (request, reply) => {
    const address = params.extend({ number: z.string() }).parse(request.params);
    const project = await needProject(reader, address);
    const source = { kind: 'pull-request', name: address.number, limit: 1 } as const;
    const [line] = await listHistory(reader, project.id, source);
    if (!line) throw notFound('pull request');
    // A push to the pull request makes another revision the one to show.
    const events = `${projectLink({ owner: project.owner, project: project.name })}/events`;
    return sendPage(reply, showRevision(project, line, events, request.query));
  });

  app.get('/:owner/:project/pull/:number/*', async (request, reply) => {
    const address = params.extend({ number: z.string() }).parse(request.params);
    // From the database, not from the address: `//host/…` would lead to another server.
    const { owner, name } = await needProject(reader, address);
    return reply.redirect(pullRequestLink({ owner, project: name }, address.number));
  });
}
