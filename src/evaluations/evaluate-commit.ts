/** One claimed evaluation, from its commit to what is to be built; or the earlier one it stands on. */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { BuildPlan, BuildWish } from '../builds/index.ts';
import type { CheckoutResult, CommitResult, NotHad } from '../projects/index.ts';
import type { Evaluate, EvaluationError, EvaluationLimits, SourceArgument } from './events.ts';
import type { ClaimedEvaluation } from './queue.ts';
import { findReusable, type Reuse, type ReuseKeys, reuseKeys, wishesOf } from './reuse.ts';
import { purityOf } from './reuse-purity.ts';
import { storeEvents } from './store-events.ts';

/** Who evaluates on this machine. */
export interface EvaluatorInUse {
  readonly evaluate: Evaluate;
  /** Names, versions and settings that have a part in what it finds. */
  readonly identity: readonly string[];
}

export interface EvaluateCommitOptions {
  readonly db: Knex;
  readonly limits: EvaluationLimits;
  /** Rejects with an OperatorError when this server cannot evaluate at all (Nix is missing). */
  readonly evaluator: () => Promise<EvaluatorInUse>;
  /** Says what a commit is, without its files. */
  readonly look: (evaluation: ClaimedEvaluation, signal: AbortSignal) => Promise<CommitResult>;
  readonly checkOut: (evaluation: ClaimedEvaluation, signal: AbortSignal) => Promise<CheckoutResult>;
  readonly plan: (wishes: readonly BuildWish[]) => Promise<BuildPlan>;
}

export type Outcome =
  | { readonly kind: 'stored'; readonly plan: BuildPlan; readonly reuse: Reuse | undefined }
  /** Nothing was evaluated: the result of that evaluation holds. */
  | { readonly kind: 'known'; readonly from: number; readonly plan: BuildPlan }
  | { readonly kind: 'failed'; readonly error: EvaluationError }
  | { readonly kind: 'later'; readonly reason: string };

export async function evaluateCommit(
  options: EvaluateCommitOptions,
  evaluation: ClaimedEvaluation,
  signal: AbortSignal,
): Promise<Outcome> {
  const { evaluate, identity } = await options.evaluator();
  const tree = await treeOf(options, evaluation, signal);
  if (typeof tree !== 'string') return withoutCommit(tree, evaluation);
  const source = sourceArgument(evaluation);
  const keys = reuseKeys({
    projectId: evaluation.projectId,
    tree,
    source,
    trusted: true,
    evaluator: identity,
  });
  const known = await knownResult(options, keys);
  if (known) return known;
  const checkedOut = await options.checkOut(evaluation, signal);
  if (checkedOut.kind !== 'ready') return withoutCommit(checkedOut, evaluation);
  const { checkout } = checkedOut;
  try {
    let key = keys.ofTree;
    const events = evaluate({
      checkout: checkout.path,
      source,
      trusted: true,
      limits: options.limits,
      onCommitUsed: () => {
        key = keys.ofCommit;
      },
      signal,
    });
    const { wishes, file, lasting } = await storeEvents(options.db, evaluation.id, events);
    const plan = await options.plan(wishes);
    // A flake is told its commit without asking.
    if (file === 'flake.nix') key = keys.ofCommit;
    const certain = lasting && plan.impossible.size === 0 && file !== undefined;
    const purity = certain ? await purityOf(checkout.path, file) : 'open';
    const reuse = purity === 'open' ? undefined : ({ key, until: validity[purity] } as const);
    return { kind: 'stored', plan, reuse };
  } finally {
    await checkout.release();
  }
}

const validity = { closed: 'infinity', pinned: '1 day' } as const;

function withoutCommit(result: NotHad, evaluation: ClaimedEvaluation): Outcome {
  if (result.kind === 'later' && !evaluation.waitedTooLong) return result;
  return { kind: 'failed', error: { type: 'error', path: [], message: result.reason } };
}

/** Git's hash of the commit's files: from its delivery, from an earlier look, or from git. */
async function treeOf(
  options: EvaluateCommitOptions,
  evaluation: ClaimedEvaluation,
  signal: AbortSignal,
): Promise<string | NotHad> {
  const { db } = options;
  const row: unknown = await db('revisions').select('tree').where({ id: evaluation.revisionId }).first();
  const { tree } = z.object({ tree: z.string().nullable() }).parse(row);
  if (tree !== null) return tree;
  const looked = await options.look(evaluation, signal);
  if (looked.kind !== 'ready') return looked;
  const { commit } = looked;
  await db('revisions')
    .where({ id: evaluation.revisionId })
    .update({
      tree: commit.tree,
      title: db.raw(`CASE WHEN title = '' THEN ? ELSE title END`, [commit.title]),
      author: db.raw(`CASE WHEN author = '' THEN ? ELSE author END`, [commit.author]),
    });
  return commit.tree;
}

/** The result of an earlier evaluation, if its derivations are still there. */
async function knownResult(
  { db, plan: planOf }: EvaluateCommitOptions,
  keys: ReuseKeys,
): Promise<Outcome | undefined> {
  const from = await findReusable(db, keys);
  if (from === undefined) return undefined;
  const plan = await planOf(await wishesOf(db, from));
  return plan.impossible.size === 0 ? { kind: 'known', from, plan } : undefined;
}

function sourceArgument(evaluation: ClaimedEvaluation): SourceArgument {
  const source = evaluation.sources[0];
  const branch = source?.kind === 'branch' ? { branch: source.name } : {};
  return { rev: evaluation.sha, ref: source?.gitRef ?? evaluation.sha, ...branch };
}
