/**
 * Brings the right hash to where the wrong one is written, when somebody with write permission asked for
 * it. Safe to end at any moment and to do again: the commit names its parent, and what was said is looked
 * for before it is said.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type Logger, messageOf } from '../../basics/index.ts';
import type { OnRevisionChanged } from '../../evaluations/index.ts';
import { isConnectionError } from '../../postgres/index.ts';
import type { Checkouts } from '../../projects/index.ts';
import { commitOf, type Governor } from '../../reports/index.ts';
import type { GitHubApp } from '../app.ts';
import { failureOf } from '../failures.ts';
import { type Questions, type RepositoryPlace, withRepository } from '../questions.ts';
import { type Application, type Applied, readApplication, requestApplying } from './applications.ts';
import { findHashPlace } from './find-place.ts';
import { spellingsOf } from './spellings.ts';
import { findTargets, type Targets } from './targets.ts';
import { type Change, commitChange, earlierCommit, suggestChange } from './write.ts';

export interface ApplyOptions {
  readonly db: Knex;
  readonly app: GitHubApp;
  readonly questions: Questions;
  readonly checkouts: Pick<Checkouts, 'ask'>;
  /** The same that reports spend from. */
  readonly governor: Governor;
  readonly onRevisionChanged: OnRevisionChanged;
  readonly log: Logger;
}

const payload = z.object({ id: z.number() });
/** Calls that write, where it is no commit: a suggestion, and the comment that may take its place. */
const mostWrites = 2;
/** Milliseconds for the search, a fetch included. */
const searchMs = 120_000;

/** What is known of the task queue's context. */
interface Context {
  readonly attempt: number;
  readonly maxAttempts: number;
}

/** The task's handler. */
export function createHashApplier(
  options: ApplyOptions,
): (payload: unknown, context: Context) => Promise<void> {
  const { db, governor, log } = options;
  return async (given, context) => {
    const { id } = payload.parse(given);
    const application = await readApplication(db, id);
    if (!application) return;
    try {
      const change = await prepare(options, application);
      if ('outcome' in change) return await end(options, application, change);
      const writes = change.targets.branches.length > 0 ? 1 : mostWrites;
      const allowance = await governor.take(change.place.installationId, (room) =>
        room.result < writes ? 0 : writes,
      );
      if (allowance.writes === 0) return await requestApplying(db, id, allowance.nextRoom('result'));
      await end(options, application, await write(options, change));
    } catch (error) {
      if (isConnectionError(error)) throw error;
      const { passes, reason } = causeOf(error);
      if (passes && context.attempt < context.maxAttempts) throw new Error(reason, { cause: error });
      log.warn({ application: id, reason: messageOf(error) }, 'a hash could not be applied');
      await end(options, application, refused(reason));
    }
  };
}

/** The files cannot be had at the moment. */
class Later extends Error {}

function causeOf(error: unknown): { readonly passes: boolean; readonly reason: string } {
  if (error instanceof Later) return { passes: true, reason: error.message };
  const { kind, reason } = failureOf(error);
  if (kind === 'invalid' && /not granted to this installation/i.test(reason)) {
    return {
      passes: false,
      reason: "The App may not write here: grant it the permission 'contents: write'.",
    };
  }
  return { passes: kind === 'unavailable' || kind === 'rate-limited', reason };
}

type Prepared = Change & { readonly targets: Targets };
const refused = (outcome: string): Applied => ({ applied: false, outcome });

/** Finds what is to be changed and where; throws for what may go better next time. */
async function prepare(options: ApplyOptions, application: Application): Promise<Prepared | Applied> {
  const { specified, got, name } = application;
  const commit = await commitOf(options.db, application.revision_id);
  const spellings = spellingsOf(specified, got);
  if (!commit || !spellings || application.trust !== 'trusted') return refused('There is no hash to apply.');
  const answer = await options.checkouts.ask({ ...commit, signal: AbortSignal.timeout(searchMs) }, (files) =>
    findHashPlace(files, spellings),
  );
  if (answer.kind === 'later') throw new Later(answer.reason);
  if (answer.kind === 'failed') return refused(answer.reason);
  const file = answer.value;
  if (file.kind === 'none') {
    return refused('The hash is not written in any file of the commit, so it has to be changed by hand.');
  }
  if (file.kind === 'several') {
    const where = file.where.length === 0 ? '' : ` (${file.where.join(', ')})`;
    return refused(`The hash is written in several places${where}, so it has to be changed by hand.`);
  }
  const { project, sha } = commit;
  const place: RepositoryPlace = {
    installationId: project.installationId,
    repositoryId: project.githubRepositoryId,
    owner: project.owner,
    name: project.name,
  };
  const targets = await findTargets(options, { place, sha, project, revisionId: application.revision_id });
  const message = {
    headline: `Update the hash of ${name.replaceAll(/\s+/g, ' ').slice(0, 60)}`,
    body: `Specified: ${specified}\nGot: ${got}\n\nAsked for by ${application.asked_by}.`,
  };
  const change = { place, sha, file, message, specified, got, targets };
  // First of all: with our own commit on it the branch is not at the built one any more.
  if (targets.moved.length > 0) {
    const { app, log } = options;
    const done = await withRepository(app, log, place, { contents: 'read' }, (client) =>
      earlierCommit(client, change, targets.moved),
    );
    if (done) return done;
  }
  if (targets.branches.length > 1) {
    return refused(`Several branches are at this commit: ${targets.branches.slice(0, 5).join(', ')}.`);
  }
  if (targets.branches.length === 0 && targets.proposals.length === 0) {
    return refused('No branch is at this commit any more; nothing was changed.');
  }
  return change;
}

async function write({ app, log }: ApplyOptions, change: Prepared): Promise<Applied> {
  const { targets } = change;
  const [branch] = targets.branches;
  const [proposal] = targets.proposals;
  const { place, file } = change;
  if (branch !== undefined) {
    // GitHub's way to commit makes every file an ordinary one.
    if (file.executable) {
      return refused(`${file.path} is executable, which a commit of ours would undo; change it by hand.`);
    }
    return withRepository(app, log, place, { contents: 'write' }, (client) =>
      commitChange(client, change, branch),
    );
  }
  return proposal === undefined
    ? refused('No branch is at this commit any more; nothing was changed.')
    : withRepository(app, log, place, { pull_requests: 'write' }, (client) =>
        suggestChange(client, change, proposal),
      );
}

async function end(
  { db, onRevisionChanged }: ApplyOptions,
  { id, revision_id: revisionId }: Application,
  { applied, outcome }: Applied,
): Promise<void> {
  await db.transaction(async (trx) => {
    const ended = await trx('hash_applications')
      .where({ id, ended_at: null })
      .update({ ended_at: trx.fn.now(), applied, outcome: outcome.slice(0, 500) });
    if (ended > 0) await onRevisionChanged(trx, revisionId, 'now');
  });
}
