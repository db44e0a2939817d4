/**
 * Where the store paths come from that an evaluation uses and did not make. A store is shared by all
 * projects, and Nix lets whoever knows a path's name depend on it (`builtins.appendContext`), so that a
 * build could read what another project's evaluation put there.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { PathInfo } from '../../nix/index.ts';

/** Answers for one evaluation. */
export interface Provenance {
  /** Of these store paths, those that it may use although it did not add them. */
  allowed(paths: readonly string[]): Promise<ReadonlySet<string>>;
  /** What it added, which is allowed to later evaluations of the same kind. */
  remember(paths: readonly string[]): Promise<void>;
}

export interface ProvenanceOptions {
  readonly db: Knex;
  readonly projectId: number;
  readonly trusted: boolean;
  /** What the store knows of paths. */
  readonly pathInfos: (paths: readonly string[]) => Promise<ReadonlyMap<string, PathInfo>>;
  /** Whether a path is signed by a cache that everybody may read. */
  readonly isPublic: (path: string, info: PathInfo) => boolean;
}

const rows = z.array(z.object({ path: z.string() }));

/** Paths in one statement. */
const batch = 5_000;

export function createProvenance(options: ProvenanceOptions): Provenance {
  const { db, projectId, trusted } = options;

  async function owned(paths: readonly string[]): Promise<ReadonlySet<string>> {
    const found: unknown = await db('evaluated_paths')
      .select('path')
      .where({ project_id: projectId, trusted })
      .whereRaw('path = ANY(?::text[])', [[...paths]]);
    return new Set(rows.parse(found).map(({ path }) => path));
  }

  /** Of those it owns, what this evaluation asked for: in use, if not added anew. */
  const used = new Set<string>();

  return {
    allowed: async (paths) => {
      const known = new Set(await owned(paths));
      for (const path of known) used.add(path);
      const others = paths.filter((path) => !known.has(path));
      if (others.length === 0) return known;
      for (const [path, info] of await options.pathInfos(others)) {
        if (options.isPublic(path, info)) known.add(path);
      }
      return known;
    },
    remember: async (paths) => {
      // In one order, so that evaluations that end together do not wait for each other in a circle.
      const ordered = [...new Set([...paths, ...used])].sort();
      for (let at = 0; at < ordered.length; at += batch) {
        await db.raw(
          `INSERT INTO evaluated_paths (project_id, trusted, path)
           SELECT ?, ?, path FROM unnest(?::text[]) AS path
           ON CONFLICT (project_id, trusted, path) DO UPDATE SET seen_at = now()
           WHERE evaluated_paths.seen_at < now() - interval '1 day'`,
          [projectId, trusted, ordered.slice(at, at + batch)],
        );
      }
    },
  };
}

/** Days after which paths are forgotten where history is kept for ever. */
const longestMemory = 400;

/** Forgets some of what no evaluation has used for so many days (0: for very long); it is fetched again then. */
export async function forgetOldPaths(db: Knex, days: number): Promise<void> {
  await db.raw(
    `DELETE FROM evaluated_paths WHERE (project_id, trusted, path) IN (
       SELECT project_id, trusted, path FROM evaluated_paths
       WHERE seen_at < now() - make_interval(days => ?)
       ORDER BY seen_at LIMIT ? FOR UPDATE SKIP LOCKED)`,
    [days === 0 ? longestMemory : days, batch],
  );
}
