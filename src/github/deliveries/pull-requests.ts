/** Deliveries about pull requests: what their heads are, and what comes of them. */

import type { RevisionSubmission } from '../../evaluations/index.ts';
import {
  type ParsedSettings,
  type Project,
  type RepositorySettings,
  reviewProposal,
  settingsFilePath,
} from '../../projects/index.ts';
import { failureOf } from '../failures.ts';
import { mayWrite, type Permission } from '../questions.ts';
import type { AskingContext, DeliveryContext } from './context.ts';
import { hasLabelRules, hasPathFilters, holdBack, irrelevance } from './filters.ts';
import type { PullRequestPayload } from './payloads.ts';
import { placeOf, projectOf } from './project-of.ts';
import {
  applySettings,
  askAboutSettings,
  knownSettings,
  type SettingsNews,
  settingsIn,
} from './repository-settings.ts';
import { submitCommit } from './revisions.ts';
import { endSource } from './sources.ts';
import { stopRevision } from './stop-revision.ts';

/** Actions after which a pull request may have a head that nobody has looked at. */
const actionsWithHead = new Set(['opened', 'synchronize', 'reopened', 'ready_for_review']);
/** Actions whose sender has put the head there. */
const actionsOfPushers = new Set(['opened', 'synchronize']);

/**
 * What a stranger's fork brings may still have been brought by somebody who could have pushed it to the
 * repository itself. Asked only about people: a bot acts for whoever makes it act.
 */
async function askAboutPusher(
  { questions }: AskingContext,
  payload: PullRequestPayload,
): Promise<Permission> {
  const { action, sender, repository, installation, pull_request: pull } = payload;
  if (!questions || !sender || !installation || sender.type === 'Bot' || sender.login.endsWith('[bot]')) {
    return 'none';
  }
  if (!actionsOfPushers.has(action) || pull.head.repo?.id === repository.id) return 'none';
  return questions.permissionOf(placeOf(repository, installation.id), sender.login);
}

/** What is asked about a pull request before it is acted on. */
export interface PullRequestAnswers {
  readonly permission: Permission;
  readonly news: SettingsNews;
  /** Paths it changes; undefined where that is not known. */
  readonly files: readonly string[] | undefined;
  /** The settings file of its head, where it changes that. */
  readonly proposed: ParsedSettings | undefined;
}

export async function askAboutPullRequest(
  asking: AskingContext,
  payload: PullRequestPayload,
): Promise<PullRequestAnswers> {
  const permission = await askAboutPusher(asking, payload);
  const news = await askAboutSettings(asking, payload);
  const settings =
    news.kind === 'read'
      ? news.parsed.settings
      : (await knownSettings(asking.db, payload.repository))?.settings;
  const looks = settings !== undefined && bringsHead(payload, settings);
  const changes = looks ? await askAboutChanges(asking, payload, settings) : undefined;
  return { permission, news, files: changes?.files, proposed: changes?.proposed };
}

/** Whether a pull request's message is reason to look at its head. */
function bringsHead(payload: PullRequestPayload, settings: RepositorySettings): boolean {
  const { action, changes } = payload;
  if (actionsWithHead.has(action)) return true;
  // Titles are edited all the time; a new base is another place to be merged into.
  if (action === 'edited') return changes?.base !== undefined;
  return (action === 'labeled' || action === 'unlabeled') && hasLabelRules(settings);
}

/** The files it changes. Where GitHub does not tell, everything is taken to be relevant. */
async function askAboutChanges(
  { questions, log }: AskingContext,
  { repository, installation, number, pull_request: pull }: PullRequestPayload,
  settings: RepositorySettings,
): Promise<Pick<PullRequestAnswers, 'files' | 'proposed'>> {
  const unknown = { files: undefined, proposed: undefined };
  if (!questions || !installation) return unknown;
  const place = placeOf(repository, installation.id);
  try {
    const files = await questions.changedFiles(place, number);
    if (files === undefined) return unknown;
    // Nothing follows from the file of another branch than the default one.
    const edited = pull.base.ref === repository.default_branch && files.includes(settingsFilePath);
    const proposed = edited
      ? settingsIn(await questions.file(place, settingsFilePath, pull.head.sha)).parsed
      : undefined;
    if (!hasPathFilters(settings)) return { files: undefined, proposed };
    // The list is of whatever the head is by now.
    const head = await questions.pullRequest(place, number);
    return { files: head?.sha === pull.head.sha ? files : undefined, proposed };
  } catch (error) {
    const { reason } = failureOf(error);
    log.warn(
      { repository: repository.full_name, number, reason },
      'the files of a pull request are not known',
    );
    return unknown;
  }
}

/** A pull request has a head. Its trust is that of the repository it lives in, or of who pushed it there. */
export async function handlePullRequest(
  context: DeliveryContext,
  payload: PullRequestPayload,
  { permission, news, files, proposed }: PullRequestAnswers,
): Promise<string> {
  const { action, number, pull_request: pull } = payload;
  const project = await projectOf(context, payload);
  if (typeof project === 'string') return project;
  if (action === 'closed') return endPullRequest(context, project, payload);
  const { settings } = await applySettings(context, project, news);
  if (!bringsHead(payload, settings))
    return `Ignored: pull request ${number} was ${action}, which brings no commit.`;
  if (pull.base.repo.id !== payload.repository.id) {
    return `Ignored: pull request ${number} belongs to another repository than the one named.`;
  }
  const passedOver = holdBack(settings, pull) ?? irrelevance(settings, files);
  return submitCommit(context, {
    project,
    sha: pull.head.sha,
    trust: trustOf(payload, permission),
    title: pull.title,
    author: pull.user?.login ?? '',
    source: {
      kind: 'pull-request',
      name: String(number),
      gitRef: `refs/pull/${number}/head`,
      baseBranch: pull.base.ref,
      title: pull.title,
      fromFork: pull.head.repo?.id !== payload.repository.id,
      ...(passedOver ? { passedOver } : {}),
    },
    ...(proposed ? { settingsReview: reviewProposal(settings, proposed) } : {}),
  });
}

/**
 * Its results are of no use to anybody any more, unless another branch or pull request has the same
 * commit. The branch it was made from does not count, however long it stays.
 */
async function endPullRequest(
  context: DeliveryContext,
  project: Project,
  { number, repository, pull_request: pull }: PullRequestPayload,
): Promise<string> {
  const { ref, repo } = pull.head;
  const own = repo?.id === repository.id && ref !== undefined && ref !== project.defaultBranch;
  const revisions = await endSource(context.trx, project.id, { kind: 'pull-request', name: String(number) });
  let stopped = 0;
  for (const id of revisions) {
    const why = `Pull request #${number} was closed.`;
    if (await stopRevision(context, id, why, { ifUnwanted: true, ...(own ? { but: ref } : {}) }))
      stopped += 1;
  }
  return stopped === 0
    ? `Noted: pull request ${number} was closed.`
    : `Cancelled what was under way for pull request ${number}: it was closed.`;
}

function trustOf(
  { repository, pull_request: pull }: PullRequestPayload,
  permission: Permission,
): RevisionSubmission['trust'] {
  const head = pull.head.repo;
  if (head?.id === repository.id || mayWrite(permission)) return { kind: 'trusted' };
  const origin = head
    ? `the fork ${head.full_name.owner}/${head.full_name.name}`
    : 'a fork that has been deleted';
  return { kind: 'needs-approval', reason: `The pull request comes from ${origin}.` };
}
