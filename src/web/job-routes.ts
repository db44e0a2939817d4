/** The page of one attribute and its stream. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { attributePathFromUrl } from '../evaluations/index.ts';
import { readPhases } from '../logs/index.ts';
import { createAnsiRenderer } from './ansi.ts';
import { lastEventByte } from './api/build-routes.ts';
import { jobLink } from './links.ts';
import { streamChanges } from './live/change-stream.ts';
import type { EventStream } from './live/event-stream.ts';
import { followLog } from './live/log-stream.ts';
import { renderLog } from './log-lines.ts';
import { canonicalAddress, needProject, needRevision, type PageContext, sendPage } from './page-context.ts';
import { jobPage } from './pages/job.tsx';
import type { LogView } from './pages/log-view.tsx';
import { notFound } from './problem.ts';
import {
  type AttemptRow,
  listAttempts,
  listUnfinishedInputs,
  readAttempt,
  readBuild,
} from './read/builds.ts';
import { findJob, findJobsOfBuilds, listJobHistory } from './read/jobs.ts';
import { readLogWindow } from './read/log-window.ts';
import { listBuilders } from './read/machines.ts';
import { readRevisionProject } from './read/revision-projects.ts';
import { attemptFace, isMachinesFault } from './words.ts';

const buildersAtMost = 1_000;
const params = z.object({ owner: z.string(), project: z.string(), sha: z.string(), attribute: z.string() });
const number = z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER).optional().catch(undefined);
const pageQuery = z.object({ attempt: number, line: number });
const streamQuery = z.object({ attempt: number, from: number, line: number });

export function registerJobPage(app: FastifyInstance, context: PageContext): void {
  const { reader, assets, forge } = context;
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
    const query = pageQuery.parse(request.query);
    const build = job.build_id === null ? undefined : await readBuild(reader, job.build_id);
    const others = [build?.culprit_build_id, build?.cached_failure_of].filter((id) => typeof id === 'number');
    const [attempts, inputs, history, places, builders] = await Promise.all([
      build ? listAttempts(reader, build.id) : [],
      build && build.state === 'blocked' ? listUnfinishedInputs(reader, build.id) : [],
      listJobHistory(reader, project.id, job.path, 12),
      findJobsOfBuilds(reader, others),
      build?.state === 'queued' ? listBuilders(reader, { after: 0, limit: buildersAtMost }) : [],
    ]);
    const attempt =
      query.attempt === undefined
        ? attempts[0]
        : attempts.find((candidate) => candidate.id === query.attempt);
    const log = attempt ? await viewLog(attempt, query.line, link) : undefined;
    const frame = { assets, events: `${link}/events` };
    const found = { attempts, inputs, history, places, builders };
    return sendPage(
      reply,
      jobPage({ ...found, frame, project, line, job, build, log, forge, now: new Date() }),
    );
  }

  async function viewLog(attempt: AttemptRow, line: number | undefined, link: string): Promise<LogView> {
    const window = await readLogWindow(reader, attempt, line);
    const live = !attempt.log_complete && attempt.state !== 'lost';
    const phases = await readPhases(reader.db, [attempt.id]);
    const failed = attemptFace(attempt).tone === 'danger' && !isMachinesFault(attempt);
    return { attempt, window, phases, live, failed, stream: `${link}/events?attempt=${attempt.id}` };
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
    const query = streamQuery.parse(request.query);
    const attempts = job.build_id === null ? [] : await listAttempts(reader, job.build_id);
    const attempt = attempts.find((candidate) => candidate.id === query.attempt);
    const stream = context.streams.open(reply);
    const position = lastPosition(request) ?? { byte: query.from ?? 0, line: query.line ?? 1 };
    await Promise.all([
      streamChanges(stream, context.revisions, (id) => id === line.id),
      attempt ? streamLines(context, stream, attempt, position, line.id) : undefined,
    ]);
    return reply;
  });
}

interface Position {
  readonly byte: number;
  /** Number of the line that starts there. */
  readonly line: number;
}

/** Sends rendered lines. An event's id is `byte:line`, where a viewer who comes back goes on. */
async function streamLines(
  { reader, logs }: PageContext,
  stream: EventStream,
  attempt: AttemptRow,
  from: Position,
  revisionId: number,
): Promise<void> {
  let line = from.line;
  const renderer = createAnsiRenderer();
  const isLost = async () => (await readAttempt(reader, attempt.id))?.state === 'lost';
  const isVisible = async () => (await readRevisionProject(reader, revisionId)) !== undefined;
  const options = { db: reader.db, attemptId: attempt.id, fromByte: from.byte, isLost, isVisible };
  await followLog(options, logs, stream, async ({ bytes, nextByte }) => {
    const lines = renderLog(bytes, renderer);
    const data = JSON.stringify({ first: line, lines });
    line += lines.length;
    await stream.send({ name: 'lines', id: `${nextByte}:${line}`, data });
  });
  await stream.send({ name: 'end', data: '' });
}

function lastPosition(request: FastifyRequest): Position | undefined {
  const header = request.headers['last-event-id'];
  const byte = lastEventByte(header);
  const line = /:(\d+)$/.exec(String(header))?.[1];
  return byte === undefined || line === undefined ? undefined : { byte, line: Number(line) };
}
