/**
 * The way in: a commit seen on a branch or a pull request becomes a revision, and, when it may
 * run, an evaluation. Safe to repeat with the same commit from any number of places.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { Project, SettingsReview } from '../projects/index.ts';

/** NOTIFY channel that wakes evaluators. */
export const evaluationsChannel = 'ringmaster_evaluations';

/** NOTIFY channel for pages: something about a revision changed; the payload is its id. */
export const revisionChannel = 'ringmaster_revision';

export interface RevisionSubmission {
  readonly project: Project;
  readonly sha: string;
  /** Git's hash of the commit's files, where GitHub has told. */
  readonly tree?: string;
  readonly trust: { readonly kind: 'trusted' } | { readonly kind: 'needs-approval'; readonly reason: string };
  readonly title: string;
  readonly author: string;
  readonly source: {
    readonly kind: SourceKind;
    /** Name of the branch or tag, or the pull request's number. */
    readonly name: string;
    /** What git fetches: `refs/heads/main`, `refs/pull/7/head`, `refs/tags/v1`. */
    readonly gitRef: string;
    readonly baseBranch?: string;
    readonly title: string;
    /** The head lies in another repository. */
    readonly fromFork?: boolean;
    /** The repository's settings leave the commit out, here. */
    readonly passedOver?: PassedOver;
  };
  /** About the settings file of this commit; absent where there is nothing new to say. */
  readonly settingsReview?: SettingsReview;
}

/** Where a commit was seen. */
export type SourceKind = 'branch' | 'pull-request' | 'tag';

/**
 * Why a commit is not evaluated although it may be: it changes nothing that matters, which is good, or
 * it is held back until something about its pull request changes.
 */
export interface PassedOver {
  readonly kind: 'irrelevant' | 'held';
  /** A sentence for people. */
  readonly reason: string;
}

export interface SubmittedRevision {
  readonly revisionId: number;
  /** Undefined while the revision needs an approval. */
  readonly evaluationId: number | undefined;
  /** Wherever the commit was seen, the settings leave it out. */
  readonly passedOver?: boolean;
  /** Whether this submission started the evaluation. */
  readonly created: boolean;
}

export type SubmitRevision = (
  trx: Knex.Transaction,
  submission: RevisionSubmission,
) => Promise<SubmittedRevision>;

/** Called in the transaction in which something about a revision changed that people can see. */
export type OnRevisionChanged = (
  trx: Knex.Transaction,
  revisionId: number,
  urgency: 'now' | 'soon',
) => Promise<void>;

/**
 * A commit is evaluated once, however many branches and pull requests bring it. Trust is only ever
 * raised: what a branch of the repository holds is trusted, whoever proposed it first. It is passed
 * over only while all places where it was seen leave it out.
 */
export function createSubmitRevision(onRevisionChanged: OnRevisionChanged): SubmitRevision {
  return async (trx, submission) => {
    const revision = await upsertRevision(trx, submission);
    await upsertSource(trx, revision.id, submission);
    const passedOver = submission.source.passedOver !== undefined && !(await isWanted(trx, revision.id));
    const runs = revision.trust === 'trusted' && !passedOver;
    const evaluation = runs ? await ensureEvaluation(trx, revision.id) : undefined;
    await onRevisionChanged(trx, revision.id, 'now');
    return {
      revisionId: revision.id,
      evaluationId: evaluation?.id,
      created: evaluation?.created ?? false,
      ...(passedOver ? { passedOver } : {}),
    };
  };
}

const revisionRow = z.object({ id: z.number(), trust: z.enum(['trusted', 'needs-approval']) });
const idRow = z.object({ id: z.number() });

async function upsertRevision(trx: Knex.Transaction, submission: RevisionSubmission) {
  // The row lock of the upsert makes submissions of one commit wait for each other.
  const result: unknown = await trx.raw(
    `INSERT INTO revisions (project_id, sha, tree, trust, trust_reason, title, author, settings_review)
     VALUES (:project, :sha, :tree, :trust, :reason, :title, :author, :review)
     ON CONFLICT (project_id, sha) DO UPDATE SET
       tree = coalesce(revisions.tree, excluded.tree),
       settings_review = coalesce(excluded.settings_review, revisions.settings_review),
       trust = CASE WHEN excluded.trust = 'trusted' THEN 'trusted' ELSE revisions.trust END,
       trust_reason = CASE WHEN 'trusted' IN (excluded.trust, revisions.trust) THEN NULL
                           ELSE excluded.trust_reason END,
       title = CASE WHEN revisions.title = '' THEN excluded.title ELSE revisions.title END,
       author = CASE WHEN revisions.author = '' THEN excluded.author ELSE revisions.author END
     RETURNING id, trust`,
    {
      project: submission.project.id,
      sha: submission.sha,
      tree: submission.tree ?? null,
      trust: submission.trust.kind,
      reason: submission.trust.kind === 'needs-approval' ? submission.trust.reason : null,
      title: submission.title,
      author: submission.author,
      review: submission.settingsReview === undefined ? null : JSON.stringify(submission.settingsReview),
    },
  );
  return revisionRow.parse(z.object({ rows: z.array(z.unknown()) }).parse(result).rows[0]);
}

async function upsertSource(
  trx: Knex.Transaction,
  revisionId: number,
  { source }: RevisionSubmission,
): Promise<void> {
  await trx('revision_sources')
    .insert({
      revision_id: revisionId,
      kind: source.kind,
      name: source.name,
      git_ref: source.gitRef,
      base_branch: source.baseBranch ?? null,
      title: source.title,
      from_fork: source.fromFork ?? false,
      passed_over: source.passedOver === undefined ? null : JSON.stringify(source.passedOver),
      seen_at: trx.fn.now(),
      ended_at: null,
    })
    .onConflict(['revision_id', 'kind', 'name'])
    .merge();
}

/** Whether some place where the commit was seen does not leave it out. */
async function isWanted(trx: Knex.Transaction, revisionId: number): Promise<boolean> {
  const found: unknown = await trx('revision_sources')
    .select('name')
    .where({ revision_id: revisionId })
    .whereNull('passed_over')
    .first();
  return found !== undefined;
}

/**
 * The newest evaluation of a revision, begun now if there has been none, or if a newer commit had taken
 * its place: a branch that goes back wants it after all.
 */
export async function ensureEvaluation(
  trx: Knex.Transaction,
  revisionId: number,
): Promise<{ readonly id: number; readonly created: boolean }> {
  const existing: unknown = await trx('evaluations')
    .select('id')
    .where('revision_id', revisionId)
    .orderBy('id', 'desc')
    .first();
  const superseded = await trx('evaluations')
    .where({ revision_id: revisionId, state: 'cancelled' })
    .whereNotNull('superseded_by')
    .max({ id: 'id' })
    .first();
  if (existing !== undefined && superseded?.id !== idRow.parse(existing).id) {
    return { id: idRow.parse(existing).id, created: false };
  }
  return { id: await startEvaluation(trx, revisionId), created: true };
}

/** Begins one more evaluation of a revision. */
export async function startEvaluation(trx: Knex.Transaction, revisionId: number): Promise<number> {
  const [inserted]: unknown[] = await trx('evaluations').insert({ revision_id: revisionId }).returning('id');
  const { id } = idRow.parse(inserted);
  await trx.raw('SELECT pg_notify(?, ?)', [evaluationsChannel, String(id)]);
  return id;
}
