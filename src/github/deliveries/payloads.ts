/**
 * What is read of GitHub's webhook payloads, and nothing else. Repositories and installations are
 * known by their numeric ids; names are only what they are called.
 */
import { z } from 'zod';

const id = z.number().int().positive();
const sha = z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/);
/** Text for people: one line, not endless. */
const line = z
  .string()
  .transform((text) => (text.split('\n', 1)[0] ?? '').replaceAll(/\p{Cc}/gu, ' ').slice(0, 300));

/** `owner/name`, safe to be put into URLs. */
const fullName = z
  .string()
  .regex(/^[\w.-]{1,100}\/[\w.-]{1,100}$/)
  .refine((text) => text.split('/').every((part) => part !== '.' && part !== '..'))
  .transform((text) => {
    const [owner = '', name = ''] = text.split('/');
    return { owner, name };
  });

/** A repository as lists of an installation name it. */
const listedRepository = z.object({ id, full_name: fullName, private: z.boolean() });
export type RepositoryPayload = z.infer<typeof repository>;

const repository = listedRepository.extend({ default_branch: z.string().min(1).max(255).optional() });

/** Absent when a webhook of the repository itself, not the App's, brought the message. */
const installation = z.object({ id }).optional();

const account = z
  .object({ login: z.string().optional(), slug: z.string().optional() })
  .nullish()
  .transform((value) => value?.login ?? value?.slug ?? '');

/** What people and bots are called: bots end in `[bot]`. */
const login = z.string().regex(/^[A-Za-z0-9_-]{1,100}(\[bot\])?$/);
const sender = z.object({ login, type: z.string().optional() });

/** Paths that a commit changed. */
const changedPaths = z.array(z.string()).max(10_000);

export const pushPayload = z.object({
  ref: z.string().max(1000),
  before: sha.optional(),
  created: z.boolean().optional(),
  forced: z.boolean().optional(),
  // Without all of them it is not known what changed.
  commits: z
    .array(z.object({ id: sha, added: changedPaths, removed: changedPaths, modified: changedPaths }))
    .optional()
    .catch(undefined),
  after: sha,
  deleted: z.boolean(),
  repository,
  installation,
  head_commit: z
    .object({
      id: sha.optional(),
      tree_id: sha.optional(),
      message: line,
      author: z.object({ name: line.nullish() }).nullish(),
    })
    .nullish(),
  pusher: z.object({ name: line.nullish() }).nullish(),
});
export type PushPayload = z.infer<typeof pushPayload>;

export const pullRequestPayload = z.object({
  action: z.string(),
  number: id,
  repository,
  installation,
  sender: sender.optional(),
  /** Of `edited`: what was there before. */
  changes: z.object({ base: z.object({}).optional() }).optional(),
  pull_request: z.object({
    title: line,
    draft: z.boolean().optional(),
    labels: z
      .array(z.object({ name: z.string() }))
      .optional()
      .catch(undefined),
    user: z.object({ login }).nullish(),
    head: z.object({
      sha,
      ref: z.string().max(1000).optional(),
      // Null when the fork was deleted.
      repo: z.object({ id, full_name: fullName }).nullish(),
    }),
    base: z.object({ ref: z.string().max(1000), repo: z.object({ id }) }),
  }),
});
export type PullRequestPayload = z.infer<typeof pullRequestPayload>;

export const installationPayload = z.object({
  action: z.string(),
  installation: z.object({ id, account, suspended_at: z.string().nullish() }),
  repositories: z.array(listedRepository).optional(),
});
export type InstallationPayload = z.infer<typeof installationPayload>;

export const installationRepositoriesPayload = z.object({
  action: z.string(),
  installation: z.object({ id, account }),
  repositories_added: z.array(listedRepository).default([]),
  // GitHub blanks the names of repositories that we may not see any more.
  repositories_removed: z.array(z.object({ id })).default([]),
});
export type InstallationRepositoriesPayload = z.infer<typeof installationRepositoriesPayload>;

export const repositoryPayload = z.object({ action: z.string(), repository, installation });
export type RepositoryEventPayload = z.infer<typeof repositoryPayload>;

/** A check run, as far as it says whose it is and what it is about. */
const checkRun = z.object({
  id,
  head_sha: sha,
  external_id: z.string().nullish(),
  app: z.object({ id }).nullish(),
});

export const checkRunPayload = z.object({
  action: z.string(),
  check_run: checkRun,
  requested_action: z.object({ identifier: z.string().max(20) }).nullish(),
  repository,
  installation,
  sender,
});
export type CheckRunPayload = z.infer<typeof checkRunPayload>;

export const checkSuitePayload = z.object({
  action: z.string(),
  check_suite: z.object({ head_sha: sha, app: z.object({ id }).nullish() }),
  repository,
  installation,
  sender,
});
export type CheckSuitePayload = z.infer<typeof checkSuitePayload>;

export const mergeGroupPayload = z.object({
  action: z.string(),
  reason: z.string().optional(),
  merge_group: z.object({
    head_sha: sha,
    head_ref: z.string().max(1000),
    base_ref: z.string().max(1000).optional(),
    head_commit: z
      .object({
        id: sha.optional(),
        tree_id: sha.optional(),
        message: line.optional(),
        author: z.object({ name: line.nullish() }).nullish(),
      })
      .nullish(),
  }),
  repository,
  installation,
});
export type MergeGroupPayload = z.infer<typeof mergeGroupPayload>;

export const issueCommentPayload = z.object({
  action: z.string(),
  comment: z.object({
    id,
    // GitHub keeps 65,536 characters.
    body: z.string().max(70_000).nullish(),
    created_at: z.coerce.date(),
    user: z.object({ login, type: z.string().optional() }).nullish(),
  }),
  issue: z.object({ number: id, pull_request: z.object({}).nullish() }),
  repository,
  installation,
});
export type IssueCommentPayload = z.infer<typeof issueCommentPayload>;
