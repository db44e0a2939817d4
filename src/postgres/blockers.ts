/** Who keeps a statement waiting for a lock: asked over another connection while it waits. */
import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import { z } from 'zod';

/** Milliseconds between looks. Most waits end before the first. */
const lookEveryMs = 1_000;

const rows = z.array(
  z.object({
    pid: z.number(),
    application: z.string(),
    who: z.string(),
    state: z.string().nullable(),
    since: z.string().nullable(),
  }),
);

/** Sessions of others tell their state only to their own user and to superusers. */
const blockersSql = `
  SELECT pid, coalesce(application_name, '') AS application, coalesce(usename::text, 'the server itself') AS who,
         state, to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since
    FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1)) ORDER BY xact_start NULLS LAST, pid LIMIT 3`;

/** Calls `report` with words for who blocks the session `pid`, each time that changes, until it is ended. */
export function watchBlockers(
  pool: pg.Pool,
  pid: number,
  report: (blockers: string) => void,
): () => Promise<void> {
  const ended = new AbortController();
  let last = '';
  const look = async () => {
    const { rows: found } = await pool.query(blockersSql, [pid]);
    const words = rows.parse(found).map(describe).join('; ');
    if (words !== '' && words !== last && !ended.signal.aborted) report(words);
    if (words !== '') last = words;
  };
  const looking = (async () => {
    while (!ended.signal.aborted) {
      await setTimeout(lookEveryMs, undefined, { signal: ended.signal }).catch(() => {});
      // Whoever waits finds out about a lost connection; this is only for the words.
      if (!ended.signal.aborted) await look().catch(() => {});
    }
  })();
  return () => {
    ended.abort();
    return looking;
  };
}

function describe({ pid, application, who, state, since }: z.infer<typeof rows>[number]): string {
  const name = application === '' ? 'a session' : application;
  const doing = [state, since === null ? null : `in a transaction since ${since} UTC`].filter((one) => one);
  return `${name} (process ${pid} of the database server, user ${who}${doing.map((one) => `, ${one}`).join('')})`;
}
