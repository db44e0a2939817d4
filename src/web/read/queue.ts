/** What runs where, and what waits. */
import { z } from 'zod';
import { buildStateShape } from './jobs.ts';
import { type Reader, readRow, readRows } from './reader.ts';
import { visibleUnfinished } from './visible-builds.ts';

const queueShape = z.object({
  id: z.number(),
  name: z.string(),
  drv_path: z.string(),
  system: z.string(),
  required_features: z.array(z.string()),
  trust_domain: z.string(),
  state: buildStateShape,
  priority: z.number(),
  remaining_ms: z.number(),
  pending_inputs: z.number(),
  message: z.string(),
  cancelling: z.boolean(),
  not_before: z.date().nullable(),
  created_at: z.date(),
  started_at: z.date().nullable(),
  builder: z.string().nullable(),
  phase: z.string().nullable(),
  /** How long it took before, on average; null: it is not known. */
  expected_ms: z.number().nullable(),
  waits_for: z.string().nullable(),
  owner: z.string().nullable(),
  project: z.string().nullable(),
  sha: z.string().nullable(),
  path: z.array(z.string()).nullable(),
});
export type QueueRow = z.infer<typeof queueShape>;

/** As schedulers take them, but for what only these can know: fair shares and scarce builders. */
const order = `array_position(ARRAY['building', 'queued', 'blocked'], b.state), b.priority DESC,
  b.remaining_ms DESC, b.id`;

/** The unfinished builds, those that run first, then the ready ones, then those that wait for inputs. */
export async function listQueue(
  reader: Reader,
  { offset, limit }: { readonly offset: number; readonly limit: number },
): Promise<QueueRow[]> {
  return readRows(
    reader,
    queueShape,
    `WITH RECURSIVE ${visibleUnfinished}
     SELECT b.id, b.name, b.drv_path, b.system, b.required_features, b.trust_domain, b.state, b.priority,
       b.remaining_ms, b.pending_inputs, b.message, b.cancel_requested_at IS NOT NULL AS cancelling,
       b.not_before, b.created_at, b.started_at, wanted.owner, wanted.project, wanted.sha, wanted.path,
       attempt.builder, attempt.phase, d.mean_ms AS expected_ms,
       (SELECT input.name FROM build_inputs i JOIN builds input ON input.id = i.input_build_id
        WHERE i.build_id = b.id AND input.finished_at IS NULL ORDER BY input.id LIMIT 1) AS waits_for
     FROM (SELECT b.* FROM builds b JOIN visible ON visible.id = b.id
       ORDER BY ${order} LIMIT :limit OFFSET :offset) b
     LEFT JOIN build_durations d ON d.name = b.name AND d.system = b.system
     LEFT JOIN attempts attempt ON attempt.build_id = b.id AND attempt.state = 'running'
     LEFT JOIN LATERAL (SELECT p.owner, p.name AS project, r.sha, j.path FROM jobs j
       JOIN evaluations e ON e.id = j.evaluation_id JOIN revisions r ON r.id = e.revision_id
       JOIN projects p ON p.id = r.project_id WHERE j.build_id = b.id AND (:showPrivate OR NOT p.private)
       ORDER BY j.id DESC LIMIT 1) wanted ON true
     ORDER BY ${order}`,
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
