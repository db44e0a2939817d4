/**
 * Commits that wait for the disk together.
 *
 * PostgreSQL lets only one transaction at a time commit that notifies somebody, and holds the next one back
 * until that is on disk. So a crowd of transactions that add tasks (each notifies) takes one write to the
 * disk after the other. Over connections that do not wait for the disk (`asynchronousCommits`) they do
 * not; whoever then needs to be sure asks for one flush, which is for all who ask at that time.
 */
import type { Knex } from './database.ts';

/**
 * A commit that waits for the disk: with it all commits before it are there. Both statements are one
 * transaction, since they are sent as one; so a failure leaves none open.
 */
const barrier = "SET LOCAL synchronous_commit = on; SELECT pg_logical_emit_message(true, 'ringmaster', '')";

/** Makes the function that resolves when all that was committed before its call is on disk. */
export function createFlush(knex: Knex): () => Promise<void> {
  let next: Promise<void> | undefined;
  let running: Promise<void> = Promise.resolve();
  return () => {
    // One that runs already may have begun before the caller's commit.
    next ??= running.then(async () => {
      next = undefined;
      const done = knex.raw(barrier).then(() => {});
      running = done.catch(() => {});
      await done;
    });
    return next;
  };
}
