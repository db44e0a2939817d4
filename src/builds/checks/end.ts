/** What the end of an attempt means for the check it was made for. */
import type { Knex } from 'knex';
import type { AttemptResult, AttemptStatus } from '../../builders/index.ts';
import { buildsChannel } from '../channels.ts';
import { isMachineFailure } from '../states.ts';

/** A check that so many machines failed on is given up: nothing depends on it. */
const machineTries = 3;

export interface CheckEnd {
  readonly checkId: number;
  readonly buildId: number;
  readonly builderId: number | undefined;
  readonly result: AttemptResult;
}

/** Writes down how attempts of checks ended. What was cancelled meanwhile stays so. */
export async function endChecks(trx: Knex.Transaction, ends: readonly CheckEnd[]): Promise<void> {
  // In one order, whoever else ends some of them.
  for (const end of [...ends].sort((a, b) => a.checkId - b.checkId)) await endCheck(trx, end);
  // Others may wait for the slots.
  if (ends.length > 0) await trx.raw('SELECT pg_notify(?, ?)', [buildsChannel, '']);
}

async function endCheck(trx: Knex.Transaction, { checkId, buildId, builderId, result }: CheckEnd) {
  const open = () => trx('build_checks').where({ id: checkId }).whereNull('finished_at');
  const excluded = builderId === undefined ? [] : [builderId];
  if (result.status === 'cancelled') return;
  if (isMachineFailure(result.status)) {
    await open().update({
      failures: trx.raw('failures + 1'),
      message: result.message,
      excluded_builder_ids: trx.raw('excluded_builder_ids || ?::bigint[]', [excluded]),
      outcome: trx.raw(`CASE WHEN ${givenUp} THEN 'not-possible' END`, { machineTries, excluded }),
      finished_at: trx.raw(`CASE WHEN ${givenUp} THEN now() END`, { machineTries, excluded }),
    });
    return;
  }
  const outputs = await outputsOf(trx, buildId);
  const message = messageOf(result, outputs);
  await open().update({ outcome: outcomeOf(result.status), message, finished_at: trx.fn.now() });
}

/** SQL: it failed too often, or nobody is left who could take it. */
const givenUp = `(failures + 1 >= :machineTries OR NOT EXISTS (
  SELECT 1 FROM builds b JOIN builders k ON k.id <> ALL (excluded_builder_ids || :excluded::bigint[]) AND k.enabled
    AND k.removed_at IS NULL AND b.trust_domain = ANY (k.trust_domains)
    AND (b.system = 'builtin' OR b.system = ANY (k.systems))
  WHERE b.id = build_checks.build_id))`;

function outcomeOf(status: AttemptStatus): string {
  if (status === 'built') return 'reproduced';
  return status === 'substituted' || status === 'already-valid' ? 'not-possible' : status;
}

function messageOf({ status, message }: AttemptResult, outputs: Readonly<Record<string, string | null>>) {
  if (status === 'substituted' || status === 'already-valid') return 'The builder did not build it again.';
  if (status !== 'non-deterministic') return message;
  // Nix names the files, which are elsewhere than their paths say where the store is in a folder of its own.
  const files = message.split(/[\s'"]+/);
  const names = Object.entries(outputs).flatMap(([name, path]) =>
    path !== null && files.some((file) => file.endsWith(path)) ? [name] : [],
  );
  return names.length === 0 ? message : `The output ${names.join(', ')} differs.\n${message}`;
}

async function outputsOf(trx: Knex.Transaction, buildId: number) {
  const row: { outputs: Record<string, string | null> } | undefined = await trx('builds')
    .select('outputs')
    .where({ id: buildId })
    .first();
  return row?.outputs ?? {};
}
