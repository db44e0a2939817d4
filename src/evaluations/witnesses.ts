/**
 * A witness is a text in the store that refers to all results of an evaluation. What a valid path
 * refers to is valid, and is collected after it: so one question to the store, and none to the
 * database, answers for thousands of paths. See docs/adr/0009.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { OperatorError } from '../basics/index.ts';
import { describeText, type NixStore, type TextWriter, textsRefused } from '../nix/index.ts';
import { addTask, isPassingError } from '../postgres/index.ts';

/** Witnesses in the store of this machine. */
export interface Witnesses {
  /** Whether all that it refers to is valid. */
  holds(witness: string): Promise<boolean>;
  /** Undefined when not all of the results are valid. */
  make(results: readonly string[]): Promise<string | undefined>;
}

export interface WitnessesOptions {
  readonly storeDir: string;
  readonly store: Pick<NixStore, 'queryValidPaths'>;
  readonly texts: Pick<TextWriter, 'addTexts'>;
}

const name = 'ringmaster-results';
const content = Buffer.from('While this is here, so are the results of an evaluation, to which it refers.\n');

export function createWitnesses({ storeDir, store, texts }: WitnessesOptions): Witnesses {
  return {
    holds: async (witness) => (await store.queryValidPaths([witness])).has(witness),
    async make(results) {
      const references = [...new Set(results)].sort();
      const { path } = describeText(storeDir, name, content, references);
      try {
        await texts.addTexts([{ path, content, references }]);
        return path;
      } catch (error) {
        if (error instanceof OperatorError && error.code === textsRefused) return undefined;
        throw error;
      }
    },
  };
}

/** Jobs from which on a witness is worth a path in the store; fewer results are soon asked for. */
const leastJobs = 100;

/** Its payload is `{ id }`, the evaluation's. */
export const witnessTask = 'witness-evaluation';
const payloadShape = z.object({ id: z.number() });

/** To be called in the transaction in which an evaluation has settled. */
export async function requestWitness(
  trx: Knex.Transaction,
  evaluation: { readonly id: number; readonly jobCount: number },
): Promise<void> {
  if (evaluation.jobCount < leastJobs) return;
  await addTask(trx, witnessTask, { id: evaluation.id }, { jobKey: `witness:${evaluation.id}` });
}

const resultRow = z.object({
  mark: z.string(),
  good: z.boolean().nullable(),
  drv_path: z.string(),
  outputs: z.record(z.string(), z.string().nullable()).nullable(),
});

/**
 * The task's handler: gives an evaluation a witness if other evaluations may stand on it and all it
 * found is there. Safe to repeat. `witnesses` rejects where this machine has no Nix.
 */
export function createWitnessMaker(options: {
  readonly db: Knex;
  readonly witnesses: () => Promise<Witnesses>;
}): (payload: unknown) => Promise<void> {
  const { db } = options;
  return async (payload) => {
    const { id } = payloadShape.parse(payload);
    const standing = () =>
      db('evaluations')
        .where({ id, witness: null })
        .whereIn('state', ['succeeded', 'failed'])
        .where('reusable_until', '>', db.fn.now());
    if ((await standing().select('id').first()) === undefined) return;
    const rows: unknown = await db('jobs')
      .leftJoin('builds', 'builds.id', 'jobs.build_id')
      .where('evaluation_id', id)
      .whereNull('error')
      .select(
        'mark',
        'jobs.drv_path',
        'jobs.outputs',
        db.raw(`(cached OR builds.state = 'succeeded') AS good`),
      );
    const jobs = z.array(resultRow).parse(rows);
    if (jobs.some(({ good }) => !good)) return;
    // Where only the dependencies are wanted, the derivation says which they are.
    const leavesOut = jobs.some(({ mark }) => mark === 'dependencies-only');
    const results = jobs.map(({ mark, drv_path, outputs }) =>
      mark === 'dependencies-only' ? [drv_path] : Object.values(outputs ?? {}),
    );
    const known = results.flat().filter((path) => path !== null);
    const complete = results.every((paths) => paths.length > 0 && !paths.includes(null));
    if (!complete || known.length === 0) return;
    // A machine without Nix makes none, and without one all goes on as well.
    const witnesses = await options.witnesses().catch((error: unknown) => {
      if (isPassingError(error)) throw error;
      return undefined;
    });
    const witness = await witnesses?.make(known);
    if (witness === undefined) return;
    await standing().update({ witness, witness_leaves_out: leavesOut });
  };
}
