/** Addresses of pages, without the public base. Attribute paths are spelt by src/evaluations. */
import { attributePathToUrl } from '../evaluations/index.ts';

interface ProjectName {
  readonly owner: string;
  readonly project: string;
}

const segment = encodeURIComponent;

export function projectLink({ owner, project }: ProjectName): string {
  return `/${segment(owner)}/${segment(project)}`;
}

export function revisionLink(at: ProjectName & { readonly sha: string }): string {
  return `${projectLink(at)}/commit/${segment(at.sha)}`;
}

export function pullRequestLink(at: ProjectName, number: string): string {
  return `${projectLink(at)}/pull/${segment(number)}`;
}

export function jobLink(
  at: ProjectName & { readonly sha: string; readonly path: readonly string[] },
): string {
  return `${revisionLink(at)}/${attributePathToUrl(at.path)}`;
}

/** A build by itself: what is needed or read by attributes, without being one, has no other page. */
export function buildLink(id: number): string {
  return `/builds/${id}`;
}

/** Pages of the forge. */
export interface ForgeLinks {
  repository(at: ProjectName): string;
  commit(at: ProjectName & { readonly sha: string }): string;
  pullRequest(at: ProjectName, number: string): string;
  line(
    at: ProjectName & { readonly sha: string; readonly file: string; readonly line: number | null },
  ): string;
}

/** Links to a GitHub at `base`, `https://github.com` for most. */
export function forgeLinks(base: string): ForgeLinks {
  const repository = (at: ProjectName) => `${base}/${segment(at.owner)}/${segment(at.project)}`;
  return {
    repository,
    commit: (at) => `${repository(at)}/commit/${segment(at.sha)}`,
    pullRequest: (at, number) => `${repository(at)}/pull/${segment(number)}`,
    line: (at) =>
      `${repository(at)}/blob/${segment(at.sha)}/${at.file.split('/').map(segment).join('/')}${at.line === null ? '' : `#L${at.line}`}`,
  };
}
