/** One claimed evaluation, from its commit to what is to be built; or the earlier one it stands on. */
import type { Logger } from '../basics/index.ts';
import type { Secrets } from '../logs/index.ts';
import {
  type Checkout,
  type CheckoutResult,
  type CommitResult,
  evaluationWishesOf,
  type NotHad,
  type ReadAccess,
} from '../projects/index.ts';
import { withAbsent } from './absent.ts';
import type { Provenance } from './audit/provenance.ts';
import { ProvenanceUnavailable } from './audit/watch-provenance.ts';
import { readInBatches } from './batches.ts';
import type { Evaluate, EvaluationError, EvaluationLimits, SourceArgument } from './events.ts';
import {
  createImportBuilds,
  createRunningImports,
  type ImportBuilds,
  type RunningImports,
} from './import-builds.ts';
import { type KnownResult, knownResult } from './known-results.ts';
import { mayHavePins, type OpenedPins, type OpenPins, type Pins, withPins } from './pins.ts';
import type { OpenPlanning, Planning } from './planning.ts';
import type { ClaimedEvaluation } from './queue.ts';
import { type Reuse, type ReuseKeys, reuseKeys } from './reuse.ts';
import { purityOf } from './reuse-purity.ts';
import { announceFiles, type Other } from './same-files.ts';
import { type StoreOptions, storeEvents, topsOf } from './store-events.ts';

/** Who evaluates on this machine. */
export interface EvaluatorInUse {
  readonly evaluate: Evaluate;
  /** Names, versions and settings that have a part in what it finds. */
  readonly identity: readonly string[];
}

export interface EvaluateCommitOptions extends StoreOptions {
  readonly log: Logger;
  /** What must not be in logs; asked for each line. */
  readonly secrets?: () => Secrets;
  readonly limits: EvaluationLimits;
  /** Rejects with an OperatorError when this server cannot evaluate at all (Nix is missing). */
  readonly evaluator: () => Promise<EvaluatorInUse>;
  /** Says what a commit is, without its files. */
  readonly look: (evaluation: ClaimedEvaluation, signal: AbortSignal) => Promise<CommitResult>;
  /** With `submodules`, those are fetched too. */
  readonly checkOut: (
    evaluation: ClaimedEvaluation,
    signal: AbortSignal,
    submodules?: { readonly access: ReadAccess | undefined },
  ) => Promise<CheckoutResult>;
  readonly openPlanning: OpenPlanning;
  /** Where builds of evaluations are known, so that they can be cancelled. */
  readonly running?: RunningImports;
  /** What this evaluation may fetch of private repositories. Without it, nothing. */
  readonly openPins?: OpenPins | undefined;
  /** Answers for paths that an evaluation uses and did not make. Without it, all may be used. */
  readonly openProvenance?: ((evaluation: ClaimedEvaluation) => Promise<Provenance>) | undefined;
}

export type Outcome =
  /** Its jobs are stored and their builds queued. */
  | { readonly kind: 'stored'; readonly reuse: Reuse | undefined }
  /** Nothing was evaluated: the result of that evaluation holds. */
  | KnownResult
  | { readonly kind: 'failed'; readonly error: EvaluationError }
  | { readonly kind: 'later'; readonly reason: string }
  | { readonly kind: 'waits'; readonly other: Other };

export async function evaluateCommit(
  options: EvaluateCommitOptions,
  evaluation: ClaimedEvaluation,
  signal: AbortSignal,
): Promise<Outcome> {
  const [evaluator, { systems, submodules }] = await Promise.all([
    options.evaluator(),
    evaluationWishesOf(options.db, evaluation.projectId),
  ]);
  const tree = await treeOf(options, evaluation, signal);
  if (typeof tree !== 'string') return withoutCommit(tree, evaluation);
  const source = sourceArgument(evaluation);
  const keys = reuseKeys({
    projectId: evaluation.projectId,
    tree,
    source,
    trusted: evaluation.trust === 'trusted',
    evaluator: [
      ...evaluator.identity,
      ...(systems ? [`systems: ${systems.join(' ')}`] : []),
      ...(submodules ? ['submodules'] : []),
    ],
  });
  const known = await knownResult(options.db, options.openPlanning, keys);
  if (known) return held(options, known);
  const other = await announceFiles(options.db, evaluation, keys.ofTree);
  if (other) return { kind: 'waits', other };
  // Whoever evaluated the same files may have ended just before that.
  const knownNow = await knownResult(options.db, options.openPlanning, keys);
  if (knownNow) return held(options, knownNow);
  let pins: Pins | undefined;
  let checkout: Checkout | undefined;
  try {
    pins = mayHavePins(evaluation) ? await options.openPins?.(evaluation) : undefined;
    if (pins && pins.kind !== 'ready') return withoutCommit(pins, evaluation);
    const wanted = submodules ? { access: readAccess(pins) } : undefined;
    const checkedOut = await options.checkOut(evaluation, signal, wanted);
    if (checkedOut.kind !== 'ready') return withoutCommit(checkedOut, evaluation);
    checkout = checkedOut.checkout;
    const planning = await options.openPlanning();
    const provenance = await options.openProvenance?.(evaluation);
    const running = options.running ?? createRunningImports();
    const imports = createImportBuilds({ ...options, evaluation, running, signal });
    return await evaluateCheckout(
      { ...options, evaluator, evaluation, planning, provenance, imports, source, systems, keys, pins },
      checkout,
      signal,
    );
  } catch (error) {
    if (error instanceof ProvenanceUnavailable) return unavailable(error, evaluation);
    throw error;
  } finally {
    if (pins?.kind === 'ready') await pins.close();
    await checkout?.release();
  }
}

interface Evaluating extends Omit<EvaluateCommitOptions, 'evaluator'> {
  readonly evaluator: EvaluatorInUse;
  readonly evaluation: ClaimedEvaluation;
  readonly planning: Planning;
  readonly provenance: Provenance | undefined;
  readonly imports: ImportBuilds;
  readonly source: SourceArgument;
  readonly systems: readonly string[] | undefined;
  readonly keys: ReuseKeys;
  readonly pins: OpenedPins | undefined;
}

async function evaluateCheckout(work: Evaluating, checkout: Checkout, signal: AbortSignal): Promise<Outcome> {
  const { evaluator, evaluation, planning, source, keys, pins } = work;
  const given = new AbortController();
  let key = keys.ofTree;
  const events = evaluator.evaluate({
    checkout: checkout.path,
    source,
    trusted: evaluation.trust !== 'needs-approval',
    limits: work.limits,
    ...(work.systems && { systems: work.systems }),
    onCommitUsed: () => {
      key = keys.ofCommit;
    },
    ...(planning.derivations && { derivations: planning.derivations }),
    onImport: work.imports.onImport,
    ...(work.provenance && { provenance: work.provenance }),
    ...(pins?.access && { fetchAccess: pins.access }),
    signal: AbortSignal.any([signal, given.signal]),
  });
  const reader = readInBatches(withAbsent(withPins(events, pins, work.secrets), checkout.absent));
  try {
    const { file, lasting } = await storeEvents(work, evaluation, planning, reader);
    // A flake is told its commit without asking.
    if (file === 'flake.nix') key = keys.ofCommit;
    // What could not be fetched may be shared tomorrow.
    const had = !pins || pins.notices.length === 0;
    const purity = had && lasting && file !== undefined ? await purityOf(checkout.path, file) : 'open';
    // What was shared may be taken back, submodules of which no file tells among it.
    const until = purity === 'closed' && !pins?.access ? 'infinity' : '1 day';
    const reuse = purity === 'open' ? undefined : ({ key, until } as const);
    return { kind: 'stored', reuse };
  } finally {
    // Its files are about to be removed.
    given.abort();
    await reader.ended;
    await work.imports.ended();
    planning.derivations?.close();
  }
}

function unavailable({ message }: ProvenanceUnavailable, evaluation: ClaimedEvaluation): Outcome {
  return withoutCommit({ kind: 'later', reason: message }, evaluation);
}

/** With what private submodules are fetched. */
function readAccess(pins: OpenedPins | undefined): ReadAccess | undefined {
  if (!pins?.access) return undefined;
  const { repositories, username, token } = pins.access;
  return { repositories, credentials: { username, password: token } };
}

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
  if (evaluation.tree !== undefined) return evaluation.tree;
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

/** What of a known result is to be built again stays, as what was evaluated now does. */
async function held(options: EvaluateCommitOptions, known: KnownResult): Promise<KnownResult> {
  if (known.kind === 'known') await options.hold?.(topsOf(known.plan));
  return known;
}

function sourceArgument(evaluation: ClaimedEvaluation): SourceArgument {
  const source = evaluation.sources[0];
  const branch = source?.kind === 'branch' ? { branch: source.name } : {};
  return { rev: evaluation.sha, ref: source?.gitRef ?? evaluation.sha, ...branch };
}
