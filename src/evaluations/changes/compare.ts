/** Which attributes differ between two evaluations. Pure. */
import { formatAttributePath } from '../attribute-path.ts';
import type { AttributePath } from '../events.ts';
import { type AttributeChange, type ChangeCounts, changeKinds } from './types.ts';

/** One attribute of an evaluation; without a derivation it did not evaluate. */
export interface ComparedJob {
  readonly path: AttributePath;
  readonly drvPath: string | undefined;
}

/** A change with the two derivations whose difference is its cause. */
export interface FoundChange extends AttributeChange {
  readonly derivations?: { readonly before: string; readonly now: string };
}

export interface Comparison {
  readonly counts: ChangeCounts;
  /** By kind, in the order of `changeKinds`, and by path within each. */
  readonly changes: readonly FoundChange[];
}

/** Compares by attribute path. */
export function compareJobs(before: readonly ComparedJob[], now: readonly ComparedJob[]): Comparison {
  const counts = { added: 0, removed: 0, rebuilt: 0, broken: 0, repaired: 0, unchanged: 0 };
  const changes: FoundChange[] = [];
  const earlier = new Map(before.map((job) => [JSON.stringify(job.path), job]));
  const note = (change: FoundChange) => {
    counts[change.kind] += 1;
    changes.push(change);
  };
  for (const job of now) {
    const key = JSON.stringify(job.path);
    const old = earlier.get(key);
    earlier.delete(key);
    const path = [...job.path];
    if (!old) note({ path, kind: 'added' });
    else if (old.drvPath === job.drvPath) counts.unchanged += 1;
    else if (job.drvPath === undefined) note({ path, kind: 'broken' });
    else if (old.drvPath === undefined) note({ path, kind: 'repaired' });
    else note({ path, kind: 'rebuilt', derivations: { before: old.drvPath, now: job.drvPath } });
  }
  for (const { path } of earlier.values()) note({ path: [...path], kind: 'removed' });
  const ordered = changes.map((change) => ({ change, label: formatAttributePath(change.path) }));
  ordered.sort((a, b) => rank(a.change) - rank(b.change) || (a.label < b.label ? -1 : 1));
  return { counts, changes: ordered.map(({ change }) => change) };
}

function rank({ kind }: FoundChange): number {
  return changeKinds.indexOf(kind);
}
