/** The commits of repositories, on this machine's disk: for evaluations, reports and applied hashes alike. */
import type { Logger } from '../basics/index.ts';
import { createGitAccess, type GitHubApp } from '../github/index.ts';
import { type Checkouts, createCheckouts } from '../projects/index.ts';
import type { ServerSettings } from './settings.ts';

export function openCheckouts(
  { config, environment }: ServerSettings,
  github: GitHubApp | undefined,
  log: Logger,
): Checkouts {
  const openAccess = createGitAccess(github, log);
  const limitBytes = config.evaluation.checkoutLimit;
  return createCheckouts({ dataDir: config.dataDir, openAccess, environment, log, limitBytes });
}
