/** The page of one build and its stream. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { keptSince } from '../builds/index.ts';
import { buildLink } from './links.ts';
import { streamChanges } from './live/change-stream.ts';
import { createConcern } from './live/concern.ts';
import { logQuery, startOf, streamLines, viewLog } from './log-page.ts';
import { type PageContext, sendPage } from './page-context.ts';
import { buildPage } from './pages/build.tsx';
import { notFound } from './problem.ts';
import { listAttempts, listUnfinishedInputs, readBuild } from './read/builds.ts';
import { readEvidence } from './read/evidence.ts';
import { listBuilders } from './read/machines.ts';
import { listWantedBy, listWantingRevisions } from './read/wanted-by.ts';

const buildersAtMost = 1_000;
/** Attributes that are listed, and one more to know that there are more. */
const wantedShown = 25;
const params = z.object({ id: z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER) });

export function registerBuildPage(app: FastifyInstance, context: PageContext): void {
  const { reader, assets, forge, firstErrors } = context;

  async function needBuild(request: { readonly params: unknown }) {
    const { success, data } = params.safeParse(request.params);
    const build = success ? await readBuild(reader, data.id) : undefined;
    if (!build) throw notFound('build');
    return build;
  }

  // Numbers alone: an owner on GitHub may be called like that.
  app.get('/builds/:id(^\\d{1,18}$)', async (request, reply) => {
    const build = await needBuild(request);
    const query = logQuery.parse(request.query);
    const [attempts, inputs, builders, wanted, evidence, keptAt] = await Promise.all([
      listAttempts(reader, build.id),
      build.state === 'blocked' ? listUnfinishedInputs(reader, build.id) : [],
      build.state === 'queued' ? listBuilders(reader, { after: 0, limit: buildersAtMost }) : [],
      listWantedBy(reader, build.id, wantedShown + 1),
      readEvidence(reader, firstErrors, { build, revisionId: undefined }),
      keptSince(reader.db, build.id),
    ]);
    // One that is not among them was typed wrong: the newest is better than no log.
    const attempt = attempts.find(({ id }) => id === query.attempt) ?? attempts[0];
    const events = `${buildLink(build.id)}/events`;
    const log = attempt ? await viewLog(context, attempt, query.line, events) : undefined;
    const frame = { assets, ...(build.finished_at === null ? { events } : {}) };
    const found = { build, attempts, inputs, builders, evidence, log, keptAt };
    const shown = { wanted: wanted.slice(0, wantedShown), more: wanted.length > wantedShown };
    return sendPage(reply, buildPage({ frame, ...found, ...shown, forge, now: new Date() }));
  });

  app.get('/builds/:id(^\\d{1,18}$)/events', { exposeHeadRoute: false }, async (request, reply) => {
    const build = await needBuild(request);
    const query = logQuery.parse(request.query);
    const attempts = await listAttempts(reader, build.id);
    const attempt = attempts.find(({ id }) => id === query.attempt);
    const stream = context.streams.open(reply);
    const isVisible = async () => (await readBuild(reader, build.id)) !== undefined;
    await Promise.all([
      streamChanges(
        stream,
        context.revisions,
        createConcern(() => listWantingRevisions(reader, build.id)),
      ),
      attempt ? streamLines(context, stream, { attempt, from: startOf(request), isVisible }) : undefined,
    ]);
    return reply;
  });
}
