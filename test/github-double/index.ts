/** A strict GitHub on 127.0.0.1: what other folders may use of it. */
export { startGitHubDouble } from './double.ts';
export type { DoubleOptions, GitHubDouble, NewRepository } from './face.ts';
export type { FaultKind, FaultRule } from './faults.ts';
export type { FileChange, Files } from './git.ts';
export type { Call } from './journal.ts';
export { githubLimits } from './limits.ts';
export type { OpenedPullRequest, OpenPullRequest } from './pull-requests.ts';
export type { Push, PushOptions } from './pushes.ts';
export type { Delivery } from './webhooks.ts';
export type { Annotation, CheckRun, CommitStatus, PullRequest, Repository, Role } from './world.ts';
