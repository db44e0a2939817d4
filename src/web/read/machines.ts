/** What runs where, and what waits. */
import { z } from 'zod';
import { buildStateShape } from './jobs.ts';
import { type Reader, readRow, readRows } from './reader.ts';

/**
 * Unfinished builds that visitors may see: everything a visible job still needs, found from the
 * jobs downwards, since whatever needs an unfinished build is unfinished itself.
 */
const visibleUnfinished = `visible (id) AS (
  SELECT b.id FROM builds b JOIN jobs j ON j.build_id = b.id JOIN evaluations e ON e.id = j.evaluation_id
  JOIN revisions r ON r.id = e.revision_id JOIN projects p ON p.id = r.project_id
  WHERE b.finished_at IS NULL AND (:showPrivate OR NOT p.private)
  UNION SELECT i.input_build_id FROM visible JOIN build_inputs i ON i.build_id = visible.id
  JOIN builds b ON b.id = i.input_build_id AND b.finished_at IS NULL)`;

const builderShape = z.object({
  id: z.number(),
  name: z.string(),
  kind: z.string(),
  systems: z.array(z.string()),
  features: z.array(z.string()),
  slots: z.number(),
  seen_at: z.date(),
  connected: z.boolean(),
  running: z.number(),
  last_finished_at: z.date().nullable(),
});
export type BuilderRow = z.infer<typeof builderShape>;

/** Builders in the order of their ids, with the builds that run on each. */
export async function listBuilders(
  reader: Reader,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<BuilderRow[]> {
  return readRows(
    reader,
    builderShape,
    `WITH RECURSIVE ${visibleUnfinished}
     SELECT m.id, m.name, m.kind, m.systems, m.features, m.slots, m.seen_at,
       m.process_id IS NOT NULL AS connected,
       (SELECT count(*) FROM attempts a JOIN visible ON visible.id = a.build_id
        WHERE a.builder = m.name AND a.state = 'running') AS running,
       (SELECT a.finished_at FROM attempts a WHERE a.builder = m.name AND a.finished_at IS NOT NULL
        AND :showPrivate ORDER BY a.id DESC LIMIT 1) AS last_finished_at
     FROM builders m WHERE m.id > :after ORDER BY m.id LIMIT :limit`,
    { after, limit },
  );
}

const queueShape = z.object({
  id: z.number(),
  name: z.string(),
  drv_path: z.string(),
  system: z.string(),
  required_features: z.array(z.string()),
  state: buildStateShape,
  pending_inputs: z.number(),
  not_before: z.date().nullable(),
  created_at: z.date(),
  started_at: z.date().nullable(),
  builder: z.string().nullable(),
  waits_for: z.string().nullable(),
  owner: z.string().nullable(),
  project: z.string().nullable(),
  sha: z.string().nullable(),
  path: z.array(z.string()).nullable(),
});
export type QueueRow = z.infer<typeof queueShape>;

/** The unfinished builds, those that run first, then the ready ones, then those that wait for inputs. */
export async function listQueue(
  reader: Reader,
  { offset, limit }: { readonly offset: number; readonly limit: number },
): Promise<QueueRow[]> {
  return readRows(
    reader,
    queueShape,
    `WITH RECURSIVE ${visibleUnfinished}
     SELECT b.id, b.name, b.drv_path, b.system, b.required_features, b.state, b.pending_inputs, b.not_before,
       b.created_at, b.started_at, wanted.owner, wanted.project, wanted.sha, wanted.path,
       (SELECT a.builder FROM attempts a WHERE a.build_id = b.id AND a.state = 'running') AS builder,
       (SELECT input.name FROM build_inputs i JOIN builds input ON input.id = i.input_build_id
        WHERE i.build_id = b.id AND input.finished_at IS NULL ORDER BY input.id LIMIT 1) AS waits_for
     FROM (SELECT b.* FROM builds b JOIN visible ON visible.id = b.id
       ORDER BY array_position(ARRAY['building', 'queued', 'blocked'], b.state), b.id
       LIMIT :limit OFFSET :offset) b
     LEFT JOIN LATERAL (SELECT p.owner, p.name AS project, r.sha, j.path FROM jobs j
       JOIN evaluations e ON e.id = j.evaluation_id JOIN revisions r ON r.id = e.revision_id
       JOIN projects p ON p.id = r.project_id WHERE j.build_id = b.id AND (:showPrivate OR NOT p.private)
       ORDER BY j.id DESC LIMIT 1) wanted ON true
     ORDER BY array_position(ARRAY['building', 'queued', 'blocked'], b.state), b.id`,
    { offset, limit },
  );
}

const totalsShape = z.object({ building: z.number(), queued: z.number(), blocked: z.number() });
export type QueueTotals = z.infer<typeof totalsShape>;

/** How many builds run, are ready, and wait for inputs. */
export async function countQueue(reader: Reader): Promise<QueueTotals> {
  const row = await readRow(
    reader,
    totalsShape,
    `WITH RECURSIVE ${visibleUnfinished}
     SELECT count(*) FILTER (WHERE b.state = 'building') AS building,
       count(*) FILTER (WHERE b.state = 'queued') AS queued,
       count(*) FILTER (WHERE b.state = 'blocked') AS blocked
     FROM builds b JOIN visible ON visible.id = b.id`,
  );
  return row ?? { building: 0, queued: 0, blocked: 0 };
}
