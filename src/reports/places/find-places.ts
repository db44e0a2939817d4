/**
 * Finds what the logs of failed builds say about files of the commit, before the report that shows it
 * is planned: then the check ends with its annotations in one call.
 *
 *   (no row) ──files asked──> found
 *       └──git away──> pending, shown without ──task──> found, planned anew
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type Logger, messageOf } from '../../basics/index.ts';
import { tailLog } from '../../logs/index.ts';
import { addTask } from '../../postgres/index.ts';
import type { Checkouts } from '../../projects/index.ts';
import { commitOf } from '../commit-of.ts';
import { requestReport } from '../outbox/tasks.ts';
import { matchPaths, type Place, pathInSource, placesOf } from './match.ts';
import { type Mention, mentionsIn } from './mentions.ts';

export const findPlacesTask = 'find-places';
const findPlacesPayload = z.object({ revisionId: z.number() });

/** What is read of a log: errors may stand far above its end, where others went on building. */
const tail = { lines: 2_000, maxBytes: 256 * 1024 } as const;
/** Milliseconds that a report waits for git, unless options say otherwise, and a task of its own. */
const patienceMs = { report: 5_000, task: 120_000 } as const;
const againAfterMs = 15_000;
/** A row stays without places then. */
const mostTries = 8;

export interface PlaceFinderOptions {
  readonly db: Knex;
  readonly checkouts: Pick<Checkouts, 'ask'>;
  readonly log: Logger;
  /** Milliseconds that a report waits for git. */
  readonly patienceMs?: number;
}

export interface PlaceFinder {
  /** Finds the places of attempts for a report that waits for them. Never rejects. */
  find(revisionId: number, attemptIds: readonly number[]): Promise<void>;
  /** The handler of the task that asks again. */
  findAgain(payload: unknown): Promise<void>;
}

export function createPlaceFinder(options: PlaceFinderOptions): PlaceFinder {
  const { db, log } = options;
  return {
    async find(revisionId, attemptIds) {
      try {
        const found = await search(options, revisionId, attemptIds, options.patienceMs ?? patienceMs.report);
        await keep(db, revisionId, attemptIds, found);
        if (!found) await askAgain(db, revisionId);
      } catch (error) {
        log.warn({ revision: revisionId, reason: messageOf(error) }, 'no places were looked for in logs');
      }
    },
    async findAgain(payload) {
      const { revisionId } = findPlacesPayload.parse(payload);
      const rows: unknown = await db('build_places')
        .select('attempt_id')
        .where({ revision_id: revisionId, pending: true })
        .orderBy('attempt_id');
      const ids = z
        .array(z.object({ attempt_id: z.number() }))
        .parse(rows)
        .map((row) => row.attempt_id);
      if (ids.length === 0) return;
      const found = await search(options, revisionId, ids, patienceMs.task);
      if (!found) throw new Error('The files of the commit cannot be asked yet.');
      await db.transaction(async (trx) => {
        await keep(trx, revisionId, ids, found);
        await requestReport(trx, revisionId);
      });
    },
  };
}

type Found = ReadonlyMap<number, readonly Place[]>;

/** Undefined when git may answer later. */
async function search(
  { db, checkouts, log }: PlaceFinderOptions,
  revisionId: number,
  attemptIds: readonly number[],
  patience: number,
): Promise<Found | undefined> {
  const mentions = new Map<number, readonly Mention[]>();
  for (const id of attemptIds) mentions.set(id, mentionsIn((await tailLog(db, id, tail)).lines));
  const named = [...mentions.values()].flat().map(({ path }) => path);
  const paths = new Set(named.filter((path) => pathInSource(path) !== undefined));
  if (paths.size === 0) return new Map();
  const commit = await commitOf(db, revisionId);
  if (!commit) return new Map();
  const answer = await checkouts.ask({ ...commit, signal: AbortSignal.timeout(patience) }, async (files) => {
    const matched = matchPaths(paths, (await files.paths()) ?? []);
    return { matched, counts: await files.lineCounts([...new Set(matched.values())]) };
  });
  if (answer.kind === 'later') return undefined;
  if (answer.kind === 'failed') {
    log.info({ revision: revisionId, reason: answer.reason }, 'its files cannot be asked');
    return new Map();
  }
  const { matched, counts } = answer.value;
  return new Map([...mentions].map(([id, own]) => [id, placesOf(own, matched, counts)]));
}

/** What is there already stays: it may be on GitHub. */
async function keep(
  db: Knex,
  revisionId: number,
  attemptIds: readonly number[],
  found: Found | undefined,
): Promise<void> {
  await db('build_places')
    .insert(
      attemptIds.map((id) => ({
        revision_id: revisionId,
        attempt_id: id,
        places: JSON.stringify(found?.get(id) ?? []),
        pending: found === undefined,
      })),
    )
    .onConflict(['revision_id', 'attempt_id'])
    .merge(['places', 'pending'])
    .where('build_places.pending', true);
}

async function askAgain(db: Knex, revisionId: number): Promise<void> {
  await addTask(
    db,
    findPlacesTask,
    { revisionId },
    {
      jobKey: `${findPlacesTask}:${revisionId}`,
      jobKeyMode: 'preserve_run_at',
      runAt: new Date(Date.now() + againAfterMs),
      maxAttempts: mostTries,
    },
  );
}
