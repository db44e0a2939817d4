/** Deliveries that bring commits by pushes, to branches and as tags. */

import type { RevisionSubmission } from '../../evaluations/index.ts';
import type { AskingContext, DeliveryContext } from './context.ts';
import { filesOfPush, irrelevance, isMergeQueue, isWantedBranch, isWantedTag } from './filters.ts';
import type { PushPayload } from './payloads.ts';
import { projectOf } from './project-of.ts';
import { applySettings, askAboutSettings, reviewOfHead, type SettingsNews } from './repository-settings.ts';
import { endSource } from './sources.ts';

const branchPrefix = 'refs/heads/';
const tagPrefix = 'refs/tags/';
/** What git forbids in ref names (git-check-ref-format(1)). */
const impossibleInRefs = /[\p{Cc} ~^:?*[\\]|\.\.|@\{/u;

/** The branch a ref names; undefined for tags and what is no ref. */
export function branchOf(ref: string): string | undefined {
  const impossible = !ref.startsWith(branchPrefix) || impossibleInRefs.test(ref);
  return impossible ? undefined : ref.slice(branchPrefix.length);
}

/** The tag a ref names. */
function tagOf(ref: string): string | undefined {
  const possible = ref.startsWith(tagPrefix) && !impossibleInRefs.test(ref);
  return possible ? ref.slice(tagPrefix.length) : undefined;
}

/** The settings of the repository, where this push may have changed them or nobody has read them. */
export async function askAboutPush(asking: AskingContext, payload: PushPayload): Promise<SettingsNews> {
  const { default_branch: defaultBranch } = payload.repository;
  const toDefault = !isDeletion(payload) && branchOf(payload.ref) === (defaultBranch ?? '');
  return askAboutSettings(asking, payload, toDefault ? payload : undefined);
}

function isDeletion({ deleted, after }: PushPayload): boolean {
  return deleted || /^0+$/.test(after);
}

/** A branch or tag has a new commit. Whoever can push to the repository is trusted. */
export async function handlePush(
  context: DeliveryContext,
  payload: PushPayload,
  news: SettingsNews,
): Promise<string> {
  const { ref } = payload;
  const branch = branchOf(ref);
  const tag = tagOf(ref);
  const name = branch ?? tag;
  if (name === undefined) return `Ignored: ${ref} is not a branch or tag.`;
  const kind = branch === undefined ? 'tag' : 'branch';
  const project = await projectOf(context, payload);
  if (typeof project === 'string') return project;
  if (isDeletion(payload)) {
    await endSource(context.trx, project.id, { kind, name });
    return `Ignored: the ${kind} ${name} was deleted.`;
  }
  const known = await applySettings(context, project, news);
  const { settings } = known;
  const head = payload.head_commit;
  const title = head?.message ?? '';
  if (kind === 'tag' ? !isWantedTag(settings, name) : !isWantedBranch(settings, name)) {
    return `Ignored: the ${kind} ${name} matches no pattern of '${kind === 'tag' ? 'tags' : 'branches'}'.`;
  }
  // Of an annotated tag `after` is the tag's own object.
  const sha = kind === 'tag' ? head?.id : payload.after;
  if (sha === undefined) return `Ignored: the tag ${name} is not on a commit.`;
  const judged = kind === 'branch' && !isMergeQueue(name);
  const passedOver = judged ? irrelevance(settings, filesOfPush(payload)) : undefined;
  const review = name === project.defaultBranch && kind === 'branch' ? reviewOfHead(known, sha) : undefined;
  return submitCommit(context, {
    project,
    sha,
    ...(head?.id === sha && head.tree_id !== undefined ? { tree: head.tree_id } : {}),
    trust: { kind: 'trusted' },
    title,
    author: head?.author?.name ?? payload.pusher?.name ?? '',
    source: { kind, name, gitRef: ref, title, ...(passedOver ? { passedOver } : {}) },
    ...(review ? { settingsReview: review } : {}),
  });
}

/** Hands a commit on to be evaluated, and says what became of it. */
export async function submitCommit(
  context: DeliveryContext,
  submission: RevisionSubmission,
): Promise<string> {
  const { project, sha, source } = submission;
  const where = `${source.kind === 'pull-request' ? 'pull request' : source.kind} ${source.name}`;
  const what = `${project.owner}/${project.name}, ${where}, commit ${sha.slice(0, 12)}`;
  if (!project.enabled) return `Ignored: ${project.owner}/${project.name} is disabled.`;
  const { evaluationId, created, passedOver } = await context.submit(context.trx, submission);
  if (passedOver) return `Passed over: ${what}. ${source.passedOver?.reason ?? ''}`;
  if (evaluationId === undefined) return `Waits for approval: ${what}.`;
  return created
    ? `Queued evaluation ${evaluationId}: ${what}.`
    : `Evaluation ${evaluationId} has it already: ${what}.`;
}
