/** Builds that no machine brought to an end: which machines they were on, and when to stop hoping. */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type BuildEnd, finishBuilds } from './finish.ts';
import { lockGraphForFinishing } from './graph-lock.ts';

const idRows = z.object({ rows: z.array(z.object({ id: z.number() })) });

/**
 * SQL: a builder that could take the build `b` and may do so again: it is there, or an operator keeps it
 * from building, or it was there not long ago. One behind ssh is there while its probes are answered.
 */
const hope = `EXISTS (
  SELECT 1 FROM builders k
  WHERE k.removed_at IS NULL
    AND b.trust_domain = ANY (k.trust_domains) AND (b.system = 'builtin' OR b.system = ANY (k.systems))
    AND b.required_features <@ (k.features || k.mandatory_features)
    AND k.mandatory_features <@ b.required_features
    AND (NOT k.enabled OR k.draining OR (k.process_id IS NOT NULL AND k.disabled_until IS NULL)
         OR (k.kind <> 'ssh' AND k.seen_at > now() - make_interval(secs => :seconds))))`;

/**
 * SQL: somebody was there all the time to see who comes back. After an outage of all servers, machines
 * have as long again to be there first.
 */
const watched = `EXISTS (
  SELECT 1 FROM processes p WHERE p.started_at <= now() - make_interval(secs => :seconds))`;

/**
 * Ends builds that machines were lost with, when none that could build them has been there for so long.
 * Returns those that ended, with what depended on them. To be called now and then.
 */
export async function endForsaken(trx: Knex.Transaction, seconds: number): Promise<readonly number[]> {
  const find = async (lock = '') => {
    const result: unknown = await trx.raw(
      `SELECT b.id FROM builds b
       WHERE b.state = 'queued' AND b.infrastructure_failures > 0 AND ${watched} AND NOT ${hope}
         AND (SELECT max(a.finished_at) FROM attempts a WHERE a.build_id = b.id)
             <= now() - make_interval(secs => :seconds)
       ORDER BY b.id ${lock}`,
      { seconds },
    );
    return idRows.parse(result).rows.map((row) => row.id);
  };
  // Nearly always there is none, and then nobody is kept waiting.
  if ((await find()).length === 0) return [];
  await lockGraphForFinishing(trx);
  const ids = await find('FOR NO KEY UPDATE OF b');
  const ends = ids.map((buildId): BuildEnd => ({ buildId, state: 'builder-lost', message: '' }));
  const { ended } = await finishBuilds(trx, await withMachines(trx, ends));
  return ended;
}

const machineRow = z.object({
  build_id: z.number(),
  builder: z.string(),
  message: z.string(),
  finished_at: z.date(),
});

/** Bad ends that are the machines' fault, each with the machines, when they failed, and what to do. */
export async function withMachines(
  trx: Knex.Transaction,
  ends: readonly BuildEnd[],
): Promise<readonly BuildEnd[]> {
  const blaming = ends.filter(({ state }) => state === 'builder-lost' || state === 'out-of-disk');
  if (blaming.length === 0) return ends;
  const result: unknown = await trx.raw(
    `SELECT build_id, builder, message, finished_at FROM attempts
     WHERE build_id = ANY (?) AND check_id IS NULL AND finished_at IS NOT NULL
       AND status IN ('infrastructure', 'out-of-disk', 'builder-lost')
     ORDER BY id`,
    [blaming.map(({ buildId }) => buildId)],
  );
  const { rows } = z.object({ rows: z.array(machineRow) }).parse(result);
  return ends.map((end) => {
    if (!blaming.includes(end)) return end;
    const machines = rows.filter((row) => row.build_id === end.buildId);
    return machines.length === 0 ? end : { ...end, message: messageOf(end, machines) };
  });
}

function messageOf({ buildId, state }: BuildEnd, machines: readonly z.infer<typeof machineRow>[]): string {
  const what =
    state === 'out-of-disk' ? 'No builder had the disk space for it' : 'No builder could finish it';
  const lines = machines.map(({ builder, message, finished_at: at }) => {
    const [first = ''] = message.split('\n');
    return `  ${builder}, ${at.toISOString().slice(0, 19)}Z: ${first}`;
  });
  return [
    `${what}:`,
    ...lines,
    `See after these machines ('ringmaster builder list' tells how they are), then try it again: ringmaster build restart ${buildId}`,
  ].join('\n');
}
