/** The page of one attribute and its stream. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { attributePathFromUrl } from '../evaluations/index.ts';
import { jobLink } from './links.ts';
import { streamChanges } from './live/change-stream.ts';
import { logQuery, startOf, streamLines, viewLog } from './log-page.ts';
import { canonicalAddress, needProject, needRevision, type PageContext, sendPage } from './page-context.ts';
import { jobPage } from './pages/job.tsx';
import { notFound } from './problem.ts';
import { listAttempts, listUnfinishedInputs, readBuild } from './read/builds.ts';
import { readEvidence } from './read/evidence.ts';
import { findJob, findJobsOfBuilds, listJobHistory } from './read/jobs.ts';
import { listBuilders } from './read/machines.ts';
import { readRevisionProject } from './read/revision-projects.ts';

const buildersAtMost = 1_000;
const params = z.object({ owner: z.string(), project: z.string(), sha: z.string(), attribute: z.string() });

export function registerJobPage(app: FastifyInstance, context: PageContext): void {
  const { reader, assets, forge, firstErrors } = context;
  const streaming = { exposeHeadRoute: false };

  async function needJob(address: z.infer<typeof params>) {
    const project = await needProject(reader, address);
    const line = await needRevision(reader, project, address.sha);
    const path = attributePathFromUrl(address.attribute);
    if (!path || !line.evaluation) throw notFound('attribute in this commit');
    const job = await findJob(reader, line.evaluation.id, path);
    if (!job) throw notFound('attribute in this commit');
    return { project, line, job };
  }

  async function showJob(address: z.infer<typeof params>, request: FastifyRequest, reply: FastifyReply) {
    const { project, line, job } = await needJob(address);
    const link = jobLink({ ...line, path: job.path });
    if (canonicalAddress(line, address)) return reply.redirect(link);
    const query = logQuery.parse(request.query);
    const build = job.build_id === null ? undefined : await readBuild(reader, job.build_id);
    const others = [build?.culprit_build_id, build?.cached_failure_of].filter((id) => typeof id === 'number');
    const [attempts, inputs, history, places, builders] = await Promise.all([
      build ? listAttempts(reader, build.id) : [],
      build && build.state === 'blocked' ? listUnfinishedInputs(reader, build.id) : [],
      listJobHistory(reader, project.id, job.path, 12),
      findJobsOfBuilds(reader, others, job.evaluation_id),
      build?.state === 'queued' ? listBuilders(reader, { after: 0, limit: buildersAtMost }) : [],
    ]);
    // One that is not among them was typed wrong: the newest is better than no log.
    const attempt = attempts.find((candidate) => candidate.id === query.attempt) ?? attempts[0];
    const log = attempt ? await viewLog(context, attempt, query.line, `${link}/events`) : undefined;
    const evidence = build && (await readEvidence(reader, firstErrors, { build, revisionId: line.id }));
    const frame = { assets, events: `${link}/events` };
    const found = { attempts, inputs, history, places, builders, evidence };
    return sendPage(
      reply,
      jobPage({ ...found, frame, project, line, job, build, log, forge, now: new Date() }),
    );
  }

  app.get('/:owner/:project/commit/:sha/:attribute', (request, reply) =>
    showJob(params.parse(request.params), request, reply),
  );

  // An attribute may be called `events`; a browser says when it wants the stream of the revision.
  app.get('/:owner/:project/commit/:sha/events', streaming, async (request, reply) => {
    const address = params.omit({ attribute: true }).parse(request.params);
    if (!(request.headers.accept ?? '').includes('text/event-stream')) {
      return showJob({ ...address, attribute: 'events' }, request, reply);
    }
    const line = await needRevision(reader, await needProject(reader, address), address.sha);
    const stream = context.streams.open(reply);
    await streamChanges(stream, context.revisions, (id) => id === line.id);
    return reply;
  });

  app.get('/:owner/:project/commit/:sha/:attribute/events', streaming, async (request, reply) => {
    const { line, job } = await needJob(params.parse(request.params));
    const query = logQuery.parse(request.query);
    const attempts = job.build_id === null ? [] : await listAttempts(reader, job.build_id);
    const attempt = attempts.find((candidate) => candidate.id === query.attempt);
    const stream = context.streams.open(reply);
    const isVisible = async () => (await readRevisionProject(reader, line.id)) !== undefined;
    await Promise.all([
      streamChanges(stream, context.revisions, (id) => id === line.id),
      attempt ? streamLines(context, stream, { attempt, from: startOf(request), isVisible }) : undefined,
    ]);
    return reply;
  });
}
