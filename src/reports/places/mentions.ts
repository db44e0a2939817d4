/**
 * Files and lines that a build's log speaks of, as compilers, linters and test runners write them.
 *
 * Logs are written by whoever can open a pull request: every line is cut before it is looked at, and
 * every pattern stands at the beginning of a text or of a word of bounded length, so that the time is
 * linear in the log's.
 */
import { plainText } from '../markdown.ts';

export interface Mention {
  /** As the log has it. */
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly column?: number;
  /** The line, and the one that says what is wrong where that is another. */
  readonly message: string;
  /** `error`: the line says so. `place`: it says nothing of the kind, for example in a backtrace. */
  readonly kind: 'error' | 'place' | 'warning';
}

/** Characters of a line that are looked at; longer ones are no messages. */
const mostOfLine = 1_000;
const mostWords = 60;
/** Lines around a place in which its headline is looked for: rustc before, Python behind. */
const headlineWithin = { before: 4, behind: 60 } as const;

/** All mentions, in the log's order. */
export function mentionsIn(log: readonly string[]): readonly Mention[] {
  const lines = log.map((line) => plainText(line.slice(0, mostOfLine)).replaceAll('\n', ' '));
  return lines.flatMap((_, index) => mentionsOf(lines, index));
}

interface Found {
  readonly path: string;
  readonly line: string | undefined;
  readonly column?: string | undefined;
  /** What was read as the place. */
  readonly text: string;
}

/** Whole lines of a known form. */
const lineForms: readonly (readonly [name: 'python' | 'plain', pattern: RegExp])[] = [
  ['python', /^\s*File "([^"]{1,300})", line (\d{1,7})/],
  // shellcheck
  ['plain', /^In (\S{1,300}) line (\d{1,7}):/],
  // bash
  ['plain', /^(\S{1,300}): line (\d{1,7}): /],
];

/** Words: `path(12,3)` of tsc and others, `path:12`, `path:12:3`, with what follows them. */
const wordForms = [
  /^([^():]{1,300})\((\d{1,7}),(\d{1,6})\)/,
  /^([^:]{1,300}):(\d{1,7})(?::(\d{1,6}))?(?=[:,.;)\]-]|$)/,
];

function mentionsOf(lines: readonly string[], index: number): readonly Mention[] {
  const text = lines[index] ?? '';
  for (const [name, pattern] of lineForms) {
    const match = pattern.exec(text);
    if (!match?.[1]) continue;
    const found = { path: match[1], line: match[2], text: match[0] };
    return name === 'python' ? mention(found, withException(lines, index), 'error') : mention(found, text);
  }
  const arrow = /^\s*(-->|:::) /.exec(text)?.[1];
  // Places that have to do with it, of which the headline does not speak.
  if (arrow === ':::') return [];
  const message = arrow === '-->' ? withHeadline(lines, index) : text;
  const words = text.split(/[\s"'`<>|]+/, mostWords);
  return words.flatMap((word) => {
    const found = placeOfWord(word.replace(/^[([{]+/, ''));
    return found ? mention(found, message) : [];
  });
}

function placeOfWord(word: string): Found | undefined {
  for (const pattern of wordForms) {
    const match = pattern.exec(word);
    if (match?.[1]) return { path: match[1], line: match[2], column: match[3], text: match[0] };
  }
  return undefined;
}

function mention(found: Found, message: string, known?: Mention['kind']): readonly Mention[] {
  const line = Number(found.line);
  const kind = known ?? kindOf(message.replace(found.text, ' '));
  // Times, ports and image tags are no files; what remains must be one of the commit's anyway.
  if (kind === 'note' || line < 1 || !/[./]|^[A-Z]\w*file$/.test(found.path)) return [];
  const column = Number(found.column ?? 0);
  return [
    {
      path: found.path,
      line,
      ...(column > 0 ? { column } : {}),
      message: message.trim(),
      kind,
    },
  ];
}

/** By the first word that says it: `error: unused variable [-Werror]`, `warning: error ignored`. */
function kindOf(text: string): Mention['kind'] | 'note' {
  const pattern =
    /error|fatal|panic|assert|undefined|exception|fail(?:ed|ure)|warn|\bnote\b|\binfo\b|\(style\)/i;
  const word = pattern.exec(text)?.[0].toLowerCase();
  if (word === undefined) return 'place';
  if (word === 'warn') return 'warning';
  return word === 'note' || word === 'info' || word === '(style)' ? 'note' : 'error';
}

/** `error[E0425]: cannot find value` stands above its `--> src/main.rs:4:5`. */
function withHeadline(lines: readonly string[], index: number): string {
  for (let at = index - 1; at >= Math.max(0, index - headlineWithin.before); at--) {
    const line = lines[at] ?? '';
    if (/^(error|warning|note)\b/.test(line)) return `${line.trim()}\n${(lines[index] ?? '').trim()}`;
  }
  return lines[index] ?? '';
}

/** `ValueError: no` ends a traceback; it is the first line behind the frames that is not indented. */
function withException(lines: readonly string[], index: number): string {
  const frame = (lines[index] ?? '').trim();
  for (const line of lines.slice(index + 1, index + headlineWithin.behind)) {
    if (/^[A-Za-z_]/.test(line)) return `${line.trim()}\n${frame}`;
  }
  return frame;
}
