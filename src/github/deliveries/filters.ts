/** What the settings of a repository make of a commit: pure, so that every rule can be read and tested. */
import type { PassedOver } from '../../evaluations/index.ts';
import { type RepositorySettings, settingsFilePath } from '../../projects/index.ts';
import { matchesGlob } from '../commands/parse.ts';
import type { PullRequestPayload, PushPayload } from './payloads.ts';

/** Branches that a merge queue makes: its checks are asked for by name. */
export function isMergeQueue(branch: string): boolean {
  return branch.startsWith('gh-readonly-queue/');
}

export function isWantedBranch(settings: RepositorySettings, branch: string): boolean {
  return isMergeQueue(branch) || matchesAny(settings.branches, branch);
}

export function isWantedTag(settings: RepositorySettings, tag: string): boolean {
  return matchesAny(settings.tags, tag);
}

function matchesAny(patterns: readonly string[], text: string): boolean {
  return patterns.some((pattern) => matchesGlob(pattern, text));
}

/** A push of more commits is not looked into. */
const mostCommits = 20;

/** The paths a push changed; undefined where its message does not tell for certain. */
export function filesOfPush(payload: PushPayload): readonly string[] | undefined {
  const { commits, after, created, forced } = payload;
  if (!commits || created !== false || forced !== false) return undefined;
  if (commits.length === 0 || commits.length > mostCommits || commits.at(-1)?.id !== after) return undefined;
  const files = commits.flatMap(({ added, removed, modified }) => [...added, ...removed, ...modified]);
  // A merge that lists nothing may still bring much.
  return files.length === 0 ? undefined : [...new Set(files)];
}

export function hasPathFilters({ paths }: RepositorySettings): boolean {
  return paths.include.length + paths.exclude.length > 0;
}

/** Why a commit with these changes need not be evaluated; undefined when it has to be. */
export function irrelevance(
  settings: RepositorySettings,
  files: readonly string[] | undefined,
): PassedOver | undefined {
  if (!hasPathFilters(settings) || files === undefined || files.length === 0) return undefined;
  const { include, exclude } = settings.paths;
  const matters = (file: string) =>
    (include.length === 0 || matchesAny(include, file)) && !matchesAny(exclude, file);
  if (files.some(matters)) return undefined;
  const count = files.length === 1 ? 'The one changed file' : `All ${files.length} changed files`;
  const verb = files.length === 1 ? 'is' : 'are';
  const filters = [
    ...(include.length === 0 ? [] : [`paths.include = ${JSON.stringify(include)}`]),
    ...(exclude.length === 0 ? [] : [`paths.exclude = ${JSON.stringify(exclude)}`]),
  ];
  return {
    kind: 'irrelevant',
    reason: `${count} ${verb} left out by ${filters.join(' and ')} in ${settingsFilePath}.`,
  };
}

/** Why a pull request is held back for the time being; undefined when it is not. */
export function holdBack(
  { pull_requests: rules }: RepositorySettings,
  { draft, labels }: PullRequestPayload['pull_request'],
): PassedOver | undefined {
  const held = (reason: string): PassedOver => ({
    kind: 'held',
    reason: `${reason} (${settingsFilePath}).`,
  });
  const names = new Set((labels ?? []).map(({ name }) => name));
  if (draft === true && !rules.drafts) {
    return held('Drafts are evaluated when they are ready for review: pull_requests.drafts = false');
  }
  const ignored = rules.labels_ignored.find((label) => names.has(label));
  if (ignored !== undefined) {
    return held(
      `Pull requests with the label ${ignored} are not evaluated: pull_requests.labels_ignored = ${JSON.stringify(rules.labels_ignored)}`,
    );
  }
  if (rules.labels_required.length === 0 || rules.labels_required.some((label) => names.has(label))) {
    return undefined;
  }
  return held(
    `Pull requests are evaluated when they have a label for it: pull_requests.labels_required = ${JSON.stringify(rules.labels_required)}`,
  );
}

/** Whether labels have a part in what is evaluated. */
export function hasLabelRules({ pull_requests: rules }: RepositorySettings): boolean {
  return rules.labels_required.length + rules.labels_ignored.length > 0;
}
