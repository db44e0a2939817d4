/**
 * Turns the missing part of a derivation graph into builds and the edges between them, in as many
 * parts as the graph comes in.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { takeBackCancelRequests } from './cancel.ts';
import { buildsChannel } from './channels.ts';
import { expectedDurations } from './expected-durations.ts';
import { endKnownFailures } from './failure-cache.ts';
import { failDependentsOf } from './finish.ts';
import { lockGraphForPlanning } from './graph-lock.ts';
import { insertBuilds, insertDerivations, raiseBuilds } from './insert-builds.ts';
import { refuseUnsupported } from './unsupported.ts';
import type { BuildLimits, WantedBuild } from './wanted.ts';
import { createWeightedGraph } from './weights.ts';

export interface EnqueueOptions {
  /** Seconds for which a failure ends new wishes for the same derivation; 0 or absent: it does not. */
  readonly failureTtlSeconds?: number;
  /** Seconds to wait for a builder that could do it; 0 or absent: not at all. */
  readonly unsupportedTimeoutSeconds?: number;
  /** The project whose wish it is. */
  readonly projectId?: number;
}

/** The builds that stand for wanted derivations. */
export interface EnqueuedBuilds {
  /** By derivation path. */
  readonly whole: ReadonlyMap<string, number>;
  readonly inputsOnly: ReadonlyMap<string, number>;
}

/** What is to be queued: a part of a graph, and what is asked of its builds and of earlier ones. */
export interface BuildsPart {
  readonly wanted: readonly WantedBuild[];
  readonly limits?: ReadonlyMap<string, BuildLimits>;
}

/** Queues the graph of one evaluation, each derivation once. */
export interface Enqueuer {
  /**
   * Makes sure that every wanted derivation has an unfinished build, new or one that other
   * evaluations already wait for. In one transaction of the caller's, which has to be committed before
   * the next part; the number of statements does not grow with the number of builds.
   */
  add(trx: Knex.Transaction, part: BuildsPart): Promise<void>;
  /** Of all parts so far. What was queued by an earlier part may have ended. */
  readonly builds: EnqueuedBuilds;
}

/** Queues one whole graph. */
export async function enqueueBuilds(
  trx: Knex.Transaction,
  wanted: readonly WantedBuild[],
  options: EnqueueOptions = {},
): Promise<EnqueuedBuilds> {
  const enqueuer = createEnqueuer(options);
  await enqueuer.add(trx, { wanted });
  return enqueuer.builds;
}

export function createEnqueuer(options: EnqueueOptions): Enqueuer {
  const builds = { whole: new Map<string, number>(), inputsOnly: new Map<string, number>() };
  const weights = createWeightedGraph();
  const among = ({ inputsOnly }: WantedBuild) => (inputsOnly ? builds.inputsOnly : builds.whole);

  /** Puts the part into the weights; returns whose weights are new. */
  async function weigh(trx: Knex.Transaction, { wanted, limits }: BuildsPart): Promise<ReadonlySet<string>> {
    const durations = await expectedDurations(trx, wanted);
    const nodes = wanted.map((build) => ({
      key: keyOf(build),
      inputs: build.inputs,
      cost: build.inputsOnly ? 0 : durations(build),
      priority: limitsOf(build, limits).priority ?? 0,
    }));
    // Wishes for what an earlier part has queued can only make it more urgent.
    const raised = [...(limits ?? [])].map(([key, { priority }]) => ({
      key,
      inputs: [],
      cost: 0,
      priority: priority ?? Number.NEGATIVE_INFINITY,
    }));
    return weights.add([...nodes, ...raised.filter(({ key }) => builds.whole.has(key))]);
  }

  return {
    builds,
    async add(trx, part) {
      const { wanted, limits } = part;
      if (wanted.length === 0 && (limits?.size ?? 0) === 0) return;
      await lockGraphForPlanning(trx);
      const reweighed = await weigh(trx, part);
      const isFirst = builds.whole.size === 0;
      const existing = await unfinishedBuilds(trx, wanted);
      for (const { id, drv_path, inputs_only } of existing) {
        (inputs_only ? builds.inputsOnly : builds.whole).set(drv_path, id);
      }
      await takeBackCancelRequests(
        trx,
        existing.map((row) => row.id),
      );
      const fresh = wanted.filter((build) => !among(build).has(build.drvPath));
      const inserted = await insertBuilds(
        trx,
        fresh.map((build) => ({
          ...build,
          limits: limitsOf(build, limits),
          weight: weights.weightOf(keyOf(build)) ?? noWeight,
        })),
        options.projectId,
      );
      for (const { id, drv_path, inputs_only } of inserted) {
        (inputs_only ? builds.inputsOnly : builds.whole).set(drv_path, id);
      }
      const freshIds = inserted.map((row) => row.id);
      await insertDerivations(
        trx,
        new Map(
          fresh.flatMap((build) =>
            build.derivation ? [[idOf(among(build), build.drvPath), build.derivation]] : [],
          ),
        ),
      );
      await insertEdges(trx, fresh, builds);
      await countInputs(trx, freshIds);
      const isNew = new Set(freshIds);
      await raiseBuilds(
        trx,
        [...new Set([...reweighed, ...(limits?.keys() ?? [])])].flatMap((key) => {
          const id = idOfKey(builds, key);
          if (id === undefined || isNew.has(id)) return [];
          return [{ id, limits: limits?.get(key) ?? {}, weight: weights.weightOf(key) ?? noWeight }];
        }),
      );
      if (!isFirst) await fallWithInputs(trx, freshIds);
      if (!options.unsupportedTimeoutSeconds) await refuseUnsupported(trx, freshIds);
      const whole = inserted.filter((row) => !row.inputs_only).map((row) => [row.drv_path, row.id] as const);
      await endKnownFailures(trx, new Map(whole), { ttlSeconds: options.failureTtlSeconds ?? 0 });
      await trx.raw('SELECT pg_notify(?, ?)', [buildsChannel, '']);
    },
  };
}

const noWeight = { remaining: 0, priority: 0 };

/** Wished limits are those of the derivation itself. */
function limitsOf(build: WantedBuild, limits: BuildsPart['limits']): BuildLimits {
  return build.inputsOnly ? {} : (limits?.get(build.drvPath) ?? {});
}

const inputsOnlyMark = '!inputs';

/** A derivation may be wanted whole and for its inputs at the same time. */
function keyOf({ drvPath, inputsOnly }: WantedBuild): string {
  return inputsOnly ? `${drvPath}${inputsOnlyMark}` : drvPath;
}

function idOfKey(builds: EnqueuedBuilds, key: string): number | undefined {
  if (!key.endsWith(inputsOnlyMark)) return builds.whole.get(key);
  return builds.inputsOnly.get(key.slice(0, -inputsOnlyMark.length));
}

const buildRow = z.object({ id: z.number(), drv_path: z.string(), inputs_only: z.boolean() });

async function unfinishedBuilds(trx: Knex.Transaction, wanted: readonly WantedBuild[]) {
  const result: unknown = await trx.raw(
    `SELECT b.id, b.drv_path, b.inputs_only
     FROM unnest(?::text[], ?::boolean[]) AS w (drv_path, inputs_only)
     JOIN builds b ON b.trust_domain = 'trusted' AND b.drv_path = w.drv_path
                      AND b.inputs_only = w.inputs_only AND b.finished_at IS NULL`,
    [wanted.map(({ drvPath }) => drvPath), wanted.map(({ inputsOnly }) => inputsOnly)],
  );
  return z.object({ rows: z.array(buildRow) }).parse(result).rows;
}

async function insertEdges(
  trx: Knex.Transaction,
  fresh: readonly WantedBuild[],
  builds: EnqueuedBuilds,
): Promise<void> {
  const from: number[] = [];
  const to: number[] = [];
  for (const build of fresh) {
    for (const input of build.inputs) {
      from.push(idOf(build.inputsOnly ? builds.inputsOnly : builds.whole, build.drvPath));
      to.push(idOf(builds.whole, input));
    }
  }
  if (from.length === 0) return;
  await trx.raw(
    `INSERT INTO build_inputs (build_id, input_build_id)
     SELECT * FROM unnest(?::bigint[], ?::bigint[]) ON CONFLICT DO NOTHING`,
    [from, to],
  );
}

/** Counts what each new build waits for, and releases those that wait for nothing. */
async function countInputs(trx: Knex.Transaction, buildIds: readonly number[]): Promise<void> {
  if (buildIds.length === 0) return;
  await trx.raw(
    `UPDATE builds b
     SET pending_inputs = waits.count,
         state = CASE WHEN waits.count > 0 THEN 'blocked' WHEN inputs_only THEN 'succeeded' ELSE 'queued' END,
         finished_at = CASE WHEN waits.count = 0 AND inputs_only THEN now() END
     FROM (SELECT w.id, count(i.id) AS count
           FROM unnest(?::bigint[]) AS w (id)
           LEFT JOIN build_inputs e ON e.build_id = w.id
           LEFT JOIN builds i ON i.id = e.input_build_id AND i.finished_at IS NULL
           GROUP BY w.id) waits
     WHERE b.id = waits.id`,
    [[...buildIds]],
  );
}

/** Inputs that an earlier part has queued may have ended badly meanwhile. */
async function fallWithInputs(trx: Knex.Transaction, buildIds: readonly number[]): Promise<void> {
  if (buildIds.length === 0) return;
  const result: unknown = await trx.raw(
    `SELECT DISTINCT coalesce(i.culprit_build_id, i.id) AS id
     FROM build_inputs e JOIN builds i ON i.id = e.input_build_id
     WHERE e.build_id = ANY (?) AND i.finished_at IS NOT NULL AND i.state <> 'succeeded' ORDER BY id`,
    [[...buildIds]],
  );
  const { rows } = z.object({ rows: z.array(z.object({ id: z.number() })) }).parse(result);
  await failDependentsOf(
    trx,
    rows.map((row) => row.id),
  );
}

function idOf(builds: ReadonlyMap<string, number>, drvPath: string): number {
  const id = builds.get(drvPath);
  if (id === undefined) throw new Error(`input ${drvPath} is not among the wanted builds`);
  return id;
}
