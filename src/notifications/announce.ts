/** Finds out what is news about the branches of a revision, and has it told. */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { NotificationTarget } from '../basics/config/index.ts';
import { matchesGlob } from '../evaluations/index.ts';
import { addTask } from '../postgres/index.ts';
import { judge } from './judge.ts';
import { type EndedOnBranch, readEnded, readFailures } from './read.ts';
import type { Notification } from './types.ts';

export const sendNotificationTask = 'send-notification';

/** Some three and a half hours of tries, each e times later than the one before. */
const attempts = 10;
/** Attributes that are named. */
const mostNamed = 20;

export interface AnnouncerOptions {
  readonly db: Knex;
  readonly targets: readonly NotificationTarget[];
  /** Without a slash at its end. */
  readonly publicUrl: string;
}

const verdictRow = z.object({ evaluation_id: z.number(), seen_at: z.date(), failed: z.boolean() });

/**
 * Tells what became of a revision's branches, once for each evaluation and branch: the verdict and the
 * tasks that tell it are written in one transaction. Safe to repeat, and to do late or for nothing.
 */
export async function announce(options: AnnouncerOptions, revisionId: number): Promise<void> {
  if (options.targets.length === 0) return;
  await options.db.transaction(async (trx) => {
    for (const ended of await readEnded(trx, revisionId)) {
      const targets = options.targets.filter((target) => isFor(target, ended));
      if (targets.length > 0) await announceBranch(trx, options, ended, targets);
    }
  });
}

function isFor({ projects, branches }: NotificationTarget, ended: EndedOnBranch): boolean {
  const project = `${ended.owner}/${ended.name}`.toLowerCase();
  const wanted = branches?.some((pattern) => matchesGlob(pattern, ended.branch));
  return (
    projects.some((pattern) => matchesGlob(pattern.toLowerCase(), project)) &&
    (wanted ?? ended.branch === ended.default_branch)
  );
}

async function announceBranch(
  trx: Knex.Transaction,
  { publicUrl }: AnnouncerOptions,
  ended: EndedOnBranch,
  targets: readonly NotificationTarget[],
): Promise<void> {
  const before = await lockVerdict(trx, ended);
  if (before !== undefined && isOld(ended, before)) return;
  const failed = ended.state === 'failed';
  const failures = await readFailures(trx, {
    evaluationId: ended.evaluation_id,
    before: before?.evaluation_id,
    limit: mostNamed,
  });
  const event = judge({ failed, newlyFailing: failures.newlyFailing }, before?.failed);
  await trx('branch_verdicts')
    .insert({
      project_id: ended.project_id,
      branch: ended.branch,
      evaluation_id: ended.evaluation_id,
      seen_at: ended.seen_at,
      failed,
    })
    .onConflict(['project_id', 'branch'])
    .merge();
  const notification: Notification = {
    event,
    project: `${ended.owner}/${ended.name}`,
    branch: ended.branch,
    sha: ended.sha,
    title: ended.title,
    author: ended.author,
    evaluationId: ended.evaluation_id,
    attributes: ended.attributes,
    failing: failures.failing,
    newlyFailing: failures.newlyFailing,
    failed: failures.paths,
    finishedAt: ended.finished_at.toISOString(),
    url: `${publicUrl}/${encodeURIComponent(ended.owner)}/${encodeURIComponent(ended.name)}/commit/${ended.sha}`,
  };
  for (const { name, events } of targets) {
    if (!events.includes(event)) continue;
    const payload = { target: name, id: crypto.randomUUID(), notification };
    // One that does not answer is asked once at a time, and after all else that waits to be done.
    const turn = { queueName: `${sendNotificationTask}:${name}`, priority: 1 };
    await addTask(trx, sendNotificationTask, payload, { maxAttempts: attempts, ...turn });
  }
}

/** Told already, or a newer commit of the branch has its verdict, or this one has a newer. */
function isOld(ended: EndedOnBranch, before: z.infer<typeof verdictRow>): boolean {
  if (before.evaluation_id === ended.evaluation_id || before.seen_at > ended.seen_at) return true;
  return before.seen_at.getTime() === ended.seen_at.getTime() && before.evaluation_id > ended.evaluation_id;
}

/** The last verdict of the branch, held until the end of the transaction; also where there is none yet. */
async function lockVerdict(trx: Knex.Transaction, { project_id, branch }: EndedOnBranch) {
  await trx.raw('SELECT pg_advisory_xact_lock(hashtextextended(?, 0))', [`verdict:${project_id}:${branch}`]);
  const found: unknown = await trx('branch_verdicts')
    .select('evaluation_id', 'seen_at', 'failed')
    .where({ project_id, branch })
    .first();
  return found === undefined ? undefined : verdictRow.parse(found);
}
