/**
 * Turns the missing part of a derivation graph into builds and the edges between them.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { takeBackCancelRequests } from './cancel.ts';
import { buildsChannel } from './channels.ts';
import { endKnownFailures } from './failure-cache.ts';
import { refuseBuilds } from './finish.ts';
import { lockGraphForPlanning } from './graph-lock.ts';

/** A derivation that has to be built, with the ones among the same list it needs. */
export interface WantedBuild {
  readonly drvPath: string;
  readonly name: string;
  readonly system: string;
  readonly requiredFeatures: readonly string[];
  readonly outputs: Readonly<Record<string, string | null>>;
  /** Only its inputs are to be built, not itself: it ends well when they have. */
  readonly inputsOnly: boolean;
  /** A download with a known hash: what it fails of may be the network. */
  readonly fixedOutput?: boolean;
  /** Derivation paths, all of them in the same list and not `inputsOnly` there. */
  readonly inputs: readonly string[];
}

export interface EnqueueOptions {
  /** Seconds for which a failure ends new wishes for the same derivation; 0 or absent: it does not. */
  readonly failureTtlSeconds?: number;
}

/** The builds that stand for wanted derivations. */
export interface EnqueuedBuilds {
  /** By derivation path. */
  readonly whole: ReadonlyMap<string, number>;
  readonly inputsOnly: ReadonlyMap<string, number>;
}

const buildRow = z.object({ id: z.number(), drv_path: z.string(), inputs_only: z.boolean() });
const rowsOf = z.object({ rows: z.array(buildRow) });

/**
 * Makes sure that every wanted derivation has an unfinished build, new or one that other
 * evaluations already wait for, and returns the builds by derivation path. In one transaction of
 * the caller's; the number of statements does not grow with the number of builds.
 */
export async function enqueueBuilds(
  trx: Knex.Transaction,
  wanted: readonly WantedBuild[],
  options: EnqueueOptions = {},
): Promise<EnqueuedBuilds> {
  if (wanted.length === 0) return { whole: new Map(), inputsOnly: new Map() };
  await lockGraphForPlanning(trx);
  const existing = await unfinishedBuilds(
    trx,
    wanted.map((build) => build.drvPath),
  );
  await takeBackCancelRequests(trx, [...existing.whole.values(), ...existing.inputsOnly.values()]);
  const fresh = wanted.filter((build) => !among(existing, build).has(build.drvPath));
  const inserted = await insertBuilds(trx, fresh);
  const builds = {
    whole: new Map([...existing.whole, ...inserted.whole]),
    inputsOnly: new Map([...existing.inputsOnly, ...inserted.inputsOnly]),
  };
  const freshIds = fresh.map((build) => idOf(among(builds, build), build.drvPath));
  await insertEdges(trx, fresh, builds);
  await countInputs(trx, freshIds);
  await refuseUnsupported(trx, freshIds);
  await endKnownFailures(trx, inserted.whole, { ttlSeconds: options.failureTtlSeconds ?? 0 });
  await trx.raw('SELECT pg_notify(?, ?)', [buildsChannel, '']);
  return builds;
}

function among(builds: EnqueuedBuilds, build: WantedBuild): ReadonlyMap<string, number> {
  return build.inputsOnly ? builds.inputsOnly : builds.whole;
}

async function unfinishedBuilds(trx: Knex.Transaction, drvPaths: readonly string[]): Promise<EnqueuedBuilds> {
  const result: unknown = await trx.raw(
    'SELECT id, drv_path, inputs_only FROM builds WHERE finished_at IS NULL AND drv_path = ANY (?)',
    [[...drvPaths]],
  );
  return bySort(result);
}

async function insertBuilds(trx: Knex.Transaction, builds: readonly WantedBuild[]): Promise<EnqueuedBuilds> {
  if (builds.length === 0) return { whole: new Map(), inputsOnly: new Map() };
  // One parameter for all rows: 20,000 builds would not fit into the protocol's 65,535 parameters.
  const result: unknown = await trx.raw(
    `INSERT INTO builds (drv_path, inputs_only, name, system, required_features, outputs, fixed_output, state)
     SELECT b."drvPath", b."inputsOnly", b.name, b.system,
            ARRAY(SELECT jsonb_array_elements_text(b."requiredFeatures")), b.outputs,
            coalesce(b."fixedOutput", false), 'blocked'
     FROM jsonb_to_recordset(?::jsonb) AS b ("drvPath" text, "inputsOnly" boolean, name text, system text,
                                              "requiredFeatures" jsonb, outputs jsonb, "fixedOutput" boolean)
     RETURNING id, drv_path, inputs_only`,
    [JSON.stringify(builds.map(({ inputs: _, ...build }) => build))],
  );
  return bySort(result);
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
      from.push(idOf(among(builds, build), build.drvPath));
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

/** Ends the builds no registered builder could ever take, so that nothing waits for ever. */
async function refuseUnsupported(trx: Knex.Transaction, buildIds: readonly number[]): Promise<void> {
  const result: unknown = await trx.raw(
    `SELECT b.id, b.system, b.required_features FROM builds b
     WHERE b.id = ANY (?) AND b.system <> 'builtin' AND NOT b.inputs_only AND NOT EXISTS (
       SELECT 1 FROM builders k WHERE b.system = ANY (k.systems) AND b.required_features <@ k.features)
     ORDER BY b.id`,
    [[...buildIds]],
  );
  const refused = z
    .object({
      rows: z.array(z.object({ id: z.number(), system: z.string(), required_features: z.array(z.string()) })),
    })
    .parse(result);
  const messages = refused.rows.map(({ id, system, required_features }): [number, string] => {
    const features = required_features.length > 0 ? ` with the features ${required_features.join(', ')}` : '';
    return [id, `No builder of this server builds for ${system}${features}.`];
  });
  await refuseBuilds(trx, new Map(messages));
}

function bySort(result: unknown): EnqueuedBuilds {
  const { rows } = rowsOf.parse(result);
  const ids = (inputsOnly: boolean) =>
    new Map(rows.filter((row) => row.inputs_only === inputsOnly).map((row) => [row.drv_path, row.id]));
  return { whole: ids(false), inputsOnly: ids(true) };
}

function idOf(builds: ReadonlyMap<string, number>, drvPath: string): number {
  const id = builds.get(drvPath);
  if (id === undefined) throw new Error(`input ${drvPath} is not among the wanted builds`);
  return id;
}
