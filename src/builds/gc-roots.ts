/**
 * Garbage collector roots for what is kept: the results of the newest evaluations of each branch and
 * pull request, those that somebody keeps, and all that unfinished evaluations have. One indirect root an output, in a folder of
 * the data directory, named like the store path it points to; the folder is made to agree with the
 * database now and then.
 */
import { mkdir, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { NixStore } from '../nix/index.ts';

export interface KeptResults {
  /** Of each branch and pull request, the newest ones. */
  readonly keepEvaluations: number;
  /** Days after which those of other branches than the default one are let go; 0: never. */
  readonly keepDays: number;
}

export interface GcRootsOptions {
  readonly db: Knex;
  /** Folder of the roots; made if need be, and nobody else's. */
  readonly folder: string;
  readonly store: Pick<NixStore, 'queryValidPaths' | 'addIndirectRoot'>;
  readonly storeDir: string;
  readonly keep: KeptResults;
}

/** Roots made at once: the store does other things, too. */
const batch = 1_000;

/** Makes the roots that are missing and removes those that nothing needs; returns how many of each. */
export async function updateGcRoots(
  options: GcRootsOptions,
): Promise<{ readonly added: number; readonly removed: number }> {
  const { folder, store } = options;
  await mkdir(folder, { recursive: true });
  // Before the question what is kept: whoever is held by a link that is here is a part of the answer.
  const present = new Set(await readdir(folder));
  const wanted = await keptPaths(options.db, options.storeDir, options.keep);
  const stale = [...present].filter((name) => !wanted.has(name));
  const missing = [...wanted].filter(([name]) => !present.has(name)).map(([, path]) => path);
  let added = 0;
  for (let from = 0; from < missing.length; from += batch) {
    // Results of other machines, and what somebody has collected meanwhile, are not here.
    const valid = await store.queryValidPaths(missing.slice(from, from + batch));
    for (const path of valid) {
      const link = join(folder, basename(path));
      if (await pointTo(link, path)) await store.addIndirectRoot(link);
      added += 1;
    }
  }
  // Only now: what is let go may have held what has got a root of its own (hold-derivations.ts).
  for (const name of stale) await rm(join(folder, name), { force: true });
  return { added, removed: stale.length };
}

/** False when the link has been there. */
async function pointTo(link: string, path: string): Promise<boolean> {
  if ((await readlink(link).catch(() => undefined)) === path) return false;
  await rm(link, { force: true });
  await symlink(path, link);
  return true;
}

/** Store paths that are kept, by their last component. */
async function keptPaths(
  db: Knex,
  storeDir: string,
  { keepEvaluations, keepDays }: KeptResults,
): Promise<ReadonlyMap<string, string>> {
  const result: unknown = await db.raw(
    `WITH ranked AS (
       SELECT e.id, e.finished_at, s.kind = 'branch' AND s.name = p.default_branch AS is_default,
              row_number() OVER (PARTITION BY r.project_id, s.kind, s.name ORDER BY e.id DESC) AS place
       FROM evaluations e JOIN revisions r ON r.id = e.revision_id
       JOIN projects p ON p.id = r.project_id JOIN revision_sources s ON s.revision_id = r.id
       WHERE e.state IN ('succeeded', 'failed')
     ), kept AS (
       SELECT id FROM ranked WHERE place <= :evaluations
         AND (is_default OR :days = 0 OR finished_at > now() - make_interval(days => :days))
       UNION SELECT id FROM evaluations WHERE finished_at IS NULL
     ), held AS (
       SELECT j.* FROM kept JOIN jobs j ON j.evaluation_id = kept.id AND j.error IS NULL
     )
     SELECT o.value AS path FROM held j LEFT JOIN builds b ON b.id = j.build_id
     CROSS JOIN LATERAL jsonb_each_text(j.outputs) o
     WHERE o.value IS NOT NULL AND (j.cached OR b.state = 'succeeded')
     UNION
     -- Of what is not built yet, the derivation, which keeps those of its inputs.
     SELECT j.drv_path FROM held j JOIN builds b ON b.id = j.build_id
     WHERE NOT j.cached AND b.finished_at IS NULL AND j.drv_path IS NOT NULL
     UNION
     -- Where only its dependencies are wanted it is not in the store itself.
     SELECT i.drv_path FROM held j JOIN builds b ON b.id = j.build_id AND b.inputs_only
     JOIN build_inputs e ON e.build_id = b.id JOIN builds i ON i.id = e.input_build_id
     WHERE NOT j.cached AND i.finished_at IS NULL
     UNION
     SELECT o.value FROM kept_builds k JOIN builds b ON b.id = k.build_id CROSS JOIN LATERAL jsonb_each_text(b.outputs) o
     WHERE o.value IS NOT NULL
     UNION
     -- What says with one question that all of this is there.
     SELECT e.witness FROM kept JOIN evaluations e ON e.id = kept.id WHERE e.witness IS NOT NULL`,
    { evaluations: keepEvaluations, days: keepDays },
  );
  const { rows } = z.object({ rows: z.array(z.object({ path: z.string() })) }).parse(result);
  // Evaluations say what they like: only what is directly in the store is ever linked.
  const within = rows.filter(
    ({ path }) => path === join(storeDir, basename(path)) && /^[a-z0-9]{32}-[\w+.?=-]+$/.test(basename(path)),
  );
  return new Map(within.map(({ path }) => [basename(path), path]));
}
