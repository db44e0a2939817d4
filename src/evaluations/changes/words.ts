/** What changed, in words. */
import { type ChangeCause, type ChangeCounts, changeKinds } from './types.ts';

/** One phrase; `name` writes names, which are whatever somebody's Nix code says. */
export function causeInWords(cause: ChangeCause, name: (text: string) => string): string {
  switch (cause.kind) {
    case 'name':
      return `${name(cause.from)} became ${name(cause.to)}`;
    case 'source':
      // The source of most packages is called just that.
      if (cause.name === 'source') return `source of ${name(cause.of)}`;
      return cause.name === cause.of
        ? `source ${name(cause.name)}`
        : `source ${name(cause.name)} of ${name(cause.of)}`;
    case 'variable':
      return `${name(cause.name)} of ${name(cause.of)}`;
    case 'part':
      return `${cause.name} of ${name(cause.of)}`;
    case 'input-added':
      return `${name(cause.of)} needs ${name(cause.name)}, too`;
    case 'input-removed':
      return `${name(cause.of)} no longer needs ${name(cause.name)}`;
  }
}

/** `1 broken, 2 added, 12 rebuilt, 40 unchanged`. */
export function changesInWords(counts: ChangeCounts): string {
  const changed = changeKinds.filter((kind) => counts[kind] > 0).map((kind) => `${counts[kind]} ${kind}`);
  if (changed.length === 0) return 'nothing changed';
  return [...changed, ...(counts.unchanged > 0 ? [`${counts.unchanged} unchanged`] : [])].join(', ');
}

/** Changes of all kinds. */
export function countChanged(counts: ChangeCounts): number {
  return changeKinds.reduce((sum, kind) => sum + counts[kind], 0);
}
