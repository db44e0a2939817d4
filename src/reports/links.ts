/** Addresses of dashboard pages, as reports write them. */

import type { AttributePath } from '../evaluations/index.ts';
import { attributePathToUrl } from '../evaluations/index.ts';

export interface CommitOnDashboard {
  readonly owner: string;
  readonly repository: string;
  readonly sha: string;
}

/** `https://ci.example.org/acme/hello/commit/<sha>` */
export function revisionUrl(publicUrl: string, commit: CommitOnDashboard): string {
  const parts = [commit.owner, commit.repository, 'commit', commit.sha].map(encodeURIComponent);
  return `${publicUrl.replace(/\/+$/, '')}/${parts.join('/')}`;
}

/** Characters beyond which browsers, proxies and GitHub begin to refuse addresses. */
const longestUrl = 2_000;

/**
 * The page of one attribute: the revision's, with the path by {@link attributePathToUrl}; for
 * attributes whose address nobody would take, the revision's page itself.
 */
export function jobUrl(publicUrl: string, commit: CommitOnDashboard, path: AttributePath): string {
  const page = revisionUrl(publicUrl, commit);
  const url = `${page}/${attributePathToUrl(path)}`;
  return url.length > longestUrl ? page : url;
}
