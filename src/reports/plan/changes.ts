/** What a commit changed against its base, as the gate tells it. */
import {
  causeInWords,
  changesInWords,
  countChanged,
  type EvaluationChanges,
} from '../../evaluations/index.ts';
import type { ReportFacts } from '../facts.ts';
import { revisionUrl } from '../links.ts';
import { inlineCode, joinWithin, tableCell } from '../markdown.ts';
import { displayPath } from '../names.ts';

/** Bytes of the table: a quarter of the text, so that results always have the most of it. */
const tableBytes = 16 * 1024;

/** `Compared with 0123456 of main: 2 added, 12 rebuilt, 40 unchanged.` */
export function changesSentence(facts: ReportFacts, publicUrl: string): string | undefined {
  const changes = facts.changes;
  if (!changes) return undefined;
  const commit = `[\`${changes.baseSha.slice(0, 7)}\`](${revisionUrl(publicUrl, { ...facts, sha: changes.baseSha })})`;
  return `Compared with ${commit} of ${inlineCode(changes.baseBranch, 200)}: ${changesInWords(changes.counts)}.`;
}

const shapes = { broken: '❌', removed: '➖', added: '➕', repaired: '✅', rebuilt: '🔁' } as const;

/** Attributes that changed, as many whole rows as fit; undefined where none did. */
export function changesTable(changes: EvaluationChanges | undefined, page: string): string | undefined {
  if (!changes || countChanged(changes.counts) === 0) return undefined;
  const rows = changes.attributes.map(({ path, kind, cause }) => {
    const name = tableCell(inlineCode(displayPath(path), 200));
    const why = cause ? tableCell(causeInWords(cause, (text) => inlineCode(text, 100))) : '';
    return `| ${shapes[kind]} ${kind} | ${name} | ${why} |`;
  });
  const unkept = countChanged(changes.counts) - rows.length;
  const head = '**What changed**\n\n| | Attribute | First difference |\n|---|---|---|';
  const more = (left: number) => (left + unkept === 0 ? '' : `\n\n[${left + unkept} more](${page})`);
  return joinWithin(head, rows, more, '\n', tableBytes);
}
