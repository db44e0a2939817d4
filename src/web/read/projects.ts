import { z } from 'zod';
import { type Reader, readRow, readRows } from './reader.ts';

const projectShape = z.object({
  id: z.number(),
  github_repository_id: z.number(),
  owner: z.string(),
  name: z.string(),
  default_branch: z.string(),
  private: z.boolean(),
  enabled: z.boolean(),
  /** Set where an operator put it to rest. */
  paused_at: z.date().nullable(),
  created_at: z.date(),
});
export type ProjectRow = z.infer<typeof projectShape>;

const columns =
  'p.id, p.github_repository_id, p.owner, p.name, p.default_branch, p.private, p.enabled, p.paused_at, p.created_at';

/** Projects in the order of their ids, those after `after`. */
export async function listProjects(
  reader: Reader,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<ProjectRow[]> {
  return readRows(
    reader,
    projectShape,
    `SELECT ${columns} FROM projects p
     WHERE (:showPrivate OR NOT p.private) AND p.id > :after ORDER BY p.id LIMIT :limit`,
    { after, limit },
  );
}

/** Projects with the latest activity first, for the home page. */
export async function listActiveProjects(
  reader: Reader,
  { query, limit }: { readonly query: string; readonly limit: number },
): Promise<ProjectRow[]> {
  return readRows(
    reader,
    projectShape,
    `SELECT ${columns} FROM projects p
     WHERE (:showPrivate OR NOT p.private) AND strpos(lower(p.owner || '/' || p.name), lower(:query)) > 0
     ORDER BY (SELECT max(id) FROM revisions r WHERE r.project_id = p.id) DESC NULLS LAST, p.id LIMIT :limit`,
    { query, limit },
  );
}

/** A project by the name it has on GitHub now; capitals do not matter. */
export async function findProject(
  reader: Reader,
  owner: string,
  name: string,
): Promise<ProjectRow | undefined> {
  return readRow(
    reader,
    projectShape,
    `SELECT ${columns} FROM projects p
     WHERE lower(p.owner) = lower(:owner) AND lower(p.name) = lower(:name) AND (:showPrivate OR NOT p.private)
     ORDER BY p.enabled DESC, p.updated_at DESC, p.id DESC LIMIT 1`,
    { owner, name },
  );
}

const activityShape = z.object({ project_id: z.number(), running: z.number(), queued: z.number() });

/** Builds of unfinished evaluations by project. */
export async function countActivity(
  reader: Reader,
): Promise<ReadonlyMap<number, { readonly running: number; readonly queued: number }>> {
  const rows = await readRows(
    reader,
    activityShape,
    `SELECT r.project_id, count(DISTINCT b.id) FILTER (WHERE b.state = 'building') AS running,
            count(DISTINCT b.id) FILTER (WHERE b.state IN ('blocked', 'queued')) AS queued
     FROM evaluations e JOIN revisions r ON r.id = e.revision_id JOIN projects p ON p.id = r.project_id
     JOIN jobs j ON j.evaluation_id = e.id JOIN builds b ON b.id = j.build_id
     WHERE e.finished_at IS NULL AND b.finished_at IS NULL AND (:showPrivate OR NOT p.private) GROUP BY 1`,
  );
  return new Map(rows.map(({ project_id, ...counts }) => [project_id, counts]));
}
