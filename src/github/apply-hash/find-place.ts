/** The one place of a commit where a wrong hash is written, and the file with the right one there. */
import type { CommitFiles } from '../../projects/index.ts';
import type { Spelling } from './spellings.ts';

export type HashPlace =
  | {
      readonly kind: 'one';
      readonly path: string;
      /** From 1. */
      readonly line: number;
      /** That line with the right hash. */
      readonly newLine: string;
      /** The whole file with the right hash. */
      readonly newText: string;
      readonly executable: boolean;
    }
  | { readonly kind: 'none' }
  | { readonly kind: 'several'; readonly where: readonly string[] };

/** Places that are named where there are several. */
const mostNamed = 5;

export async function findHashPlace(files: CommitFiles, spellings: readonly Spelling[]): Promise<HashPlace> {
  const found = await files.search(spellings.map((spelling) => spelling.old));
  if (found === undefined) return { kind: 'several', where: [] };
  const where = found.map(({ path, line }) => `${path}:${line}`);
  if (found.length > 1) return { kind: 'several', where: where.slice(0, mostNamed) };
  const [only] = found;
  const spelling = spellings.find(({ old }) => old === only?.string);
  const file = only && (await files.read(only.path));
  if (!only || !spelling || !file) return { kind: 'none' };
  const at = file.text.indexOf(spelling.old);
  const rest = file.text.slice(at + spelling.old.length);
  // Read again and once more counted: what is written back differs in these digits alone.
  if (at < 0 || rest.includes(spelling.old)) return { kind: 'none' };
  // Within a longer word it is something else.
  if (/[\w.+/]$/.test(file.text.slice(0, at)) || /^[\w+/=]/.test(rest)) return { kind: 'none' };
  const newText = `${file.text.slice(0, at)}${spelling.new}${rest}`;
  const newLine = newText.split('\n')[only.line - 1] ?? '';
  return { kind: 'one', path: only.path, line: only.line, newLine, newText, executable: file.executable };
}
