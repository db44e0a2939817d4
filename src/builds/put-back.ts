/** Builds that go back into the queue after an attempt that said nothing about them. */
import type { Knex } from 'knex';
import { z } from 'zod';

export interface Trouble {
  /** Machines that failed on it, one after the other. */
  readonly failures: number;
  /** Why it is to be cancelled; undefined: it is not. */
  readonly cancelReason: string | undefined;
}

/** What is known of builds whose attempts ended without a word on the build. */
export async function troubleOf(
  trx: Knex.Transaction,
  buildIds: readonly number[],
): Promise<ReadonlyMap<number, Trouble>> {
  if (buildIds.length === 0) return new Map();
  const result: unknown = await trx.raw(
    `SELECT id, infrastructure_failures AS failures,
            CASE WHEN cancel_requested_at IS NOT NULL THEN coalesce(cancel_reason, 'Cancelled.') END AS reason
     FROM builds WHERE id = ANY (?)`,
    [[...buildIds]],
  );
  const row = z.object({ id: z.number(), failures: z.number(), reason: z.string().nullable() });
  const { rows } = z.object({ rows: z.array(row) }).parse(result);
  return new Map(
    rows.map(({ id, failures, reason }) => [id, { failures, cancelReason: reason ?? undefined }]),
  );
}

export interface BuildToPutBack {
  readonly buildId: number;
  readonly builderId: number | undefined;
  /** Then it goes to another builder, or rests when there is none. */
  readonly machineFailed: boolean;
  readonly message: string;
}

/** The caller has locked the rows. */
export async function putBack(trx: Knex.Transaction, builds: readonly BuildToPutBack[]): Promise<void> {
  if (builds.length === 0) return;
  await trx.raw(
    `UPDATE builds b SET
       state = 'queued',
       infrastructure_failures = b.infrastructure_failures + p.failed::int,
       excluded_builder_ids = CASE WHEN p.failed AND p.builder_id <> 0 AND p.builder_id <> ALL (b.excluded_builder_ids)
                                   THEN b.excluded_builder_ids || p.builder_id ELSE b.excluded_builder_ids END,
       message = CASE WHEN p.failed
         THEN 'The builder ' || coalesce((SELECT name FROM builders WHERE id = p.builder_id), '') || ' failed: '
              || p.message || CASE WHEN p.elsewhere THEN E'\\nTried again on another builder.'
                                   ELSE E'\\nTried again after a rest.' END
         ELSE b.message END,
       not_before = CASE WHEN p.failed AND NOT p.elsewhere
         -- Seconds; longer each time.
         THEN now() + least(300, 2 ^ least(b.infrastructure_failures + 1, 9)) * interval '1 second' END
     FROM (
       SELECT u.*, EXISTS (
         SELECT 1 FROM builds q JOIN builders k
           ON k.id <> ALL (q.excluded_builder_ids) AND k.id IS DISTINCT FROM u.builder_id
          AND k.enabled AND NOT k.draining AND k.removed_at IS NULL AND k.process_id IS NOT NULL
          AND (k.disabled_until IS NULL OR k.disabled_until <= now())
          AND q.trust_domain = ANY (k.trust_domains) AND (q.system = 'builtin' OR q.system = ANY (k.systems))
          AND q.required_features <@ (k.features || k.mandatory_features)
          AND k.mandatory_features <@ q.required_features
         WHERE q.id = u.id) AS elsewhere
       FROM unnest(?::bigint[], ?::bigint[], ?::boolean[], ?::text[]) AS u (id, builder_id, failed, message)
     ) p
     WHERE b.id = p.id AND b.state = 'building'`,
    [
      builds.map((build) => build.buildId),
      builds.map((build) => build.builderId ?? 0),
      builds.map((build) => build.machineFailed),
      builds.map((build) => build.message),
    ],
  );
}
