/** Fills the folders of submodules, and of theirs, each from a mirror of its own. */
import { join } from 'node:path';
import type { OnCommit } from './attempts.ts';
import { folderFor, type NamedSubmodule, sourceOf } from './submodules.ts';
import type { GitAccess, GitSource, NotHad, Project, ReadAccess } from './types.ts';
import { type TreeLimits, type WriteRequest, type Written, writeOut } from './write-out.ts';

export interface SubmodulesRequest {
  readonly project: Project;
  readonly own: GitSource;
  readonly access: ReadAccess | undefined;
  /** The checkout that is to be completed. */
  readonly root: string;
  readonly submodules: readonly NamedSubmodule[];
  /** What is left for all of them. */
  readonly limits: TreeLimits;
  readonly write: Pick<WriteRequest, 'indexFile' | 'environment' | 'signal'>;
}

/** Of one checkout. A submodule in a submodule is one deeper. */
const most = { submodules: 100, depth: 10 } as const;

interface Waiting {
  readonly submodule: NamedSubmodule;
  /** Its folder's path from the root of the checkout. */
  readonly path: string;
  /** Address of the repository that names it. */
  readonly of: string;
  readonly depth: number;
}

/** All of them, or why one could not be had. Answers with the files there of which only pointers are. */
export async function fetchSubmodules(
  onCommit: OnCommit,
  request: SubmodulesRequest,
): Promise<{ readonly kind: 'ready'; readonly pointerFiles: readonly string[] } | NotHad> {
  const below = (named: readonly NamedSubmodule[], folder: string, of: string, depth: number): Waiting[] =>
    named.map((submodule) => ({ submodule, path: join(folder, submodule.path), of, depth }));
  const waiting = below(request.submodules, '', request.own.url, 1);
  const pointerFiles: string[] = [];
  let { limits } = request;
  let count = 0;
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    count += 1;
    if (count > most.submodules || next.depth > most.depth) {
      return failed(next, `no more than ${most.submodules} are fetched, ${most.depth} deep`);
    }
    const had = await fetchOne(onCommit, request, next, limits);
    if (had.kind !== 'ready') return had;
    limits = had.written.left;
    const { path, depth } = next;
    pointerFiles.push(...had.written.pointerFiles.map((name) => join(path, name)));
    waiting.push(...below(had.written.submodules, path, had.url, depth + 1));
  }
  return { kind: 'ready', pointerFiles };
}

async function fetchOne(
  onCommit: OnCommit,
  request: SubmodulesRequest,
  wanted: Waiting,
  limits: TreeLimits,
): Promise<{ readonly kind: 'ready'; readonly written: Written; readonly url: string } | NotHad> {
  const { project, own, access, root, write } = request;
  const { submodule, path, of } = wanted;
  const found = sourceOf(submodule, { projectId: project.id, own, of, access });
  if (typeof found === 'string') return failed(wanted, found);
  const folder = await folderFor(root, path);
  if (folder === undefined) return failed(wanted, 'something else is in its place');
  const { source, mirror } = found;
  const from = {
    mirror,
    repository: new URL(source.url).pathname.slice(1).replace(/\.git$/, ''),
    sha: submodule.sha,
    gitRef: 'HEAD',
    signal: write.signal,
    // The access is somebody else's to close.
    open: async (): Promise<GitAccess> => ({ kind: 'ready', source, close: async () => {} }),
  };
  const written = await onCommit(from, (it) =>
    writeOut(it, { ...write, sha: submodule.sha, folder, limits }),
  );
  if (written.kind === 'ready') return { kind: 'ready', written, url: source.url };
  if (written.kind === 'later') return written;
  const hidden = written.reason.startsWith(`${from.repository} cannot be read`);
  const help = hidden ? " A private repository has to be among the 'pins' in the settings." : '';
  return failed(wanted, `${written.reason}${help}`);
}

function failed({ path }: Waiting, why: string): NotHad {
  return { kind: 'failed', reason: `The submodule '${path}' cannot be fetched: ${why.replace(/\.$/, '')}.` };
}
