/** What nix-eval-jobs prints: JSON lines on stdout, and on stderr why it died. */
import type { JobLimits } from '../../events.ts';
import {
  isObject,
  isStrings,
  type JobMark,
  jobLimits,
  jobMark,
  unreadable,
} from '../walker/record-fields.ts';

export type JobsLine =
  | { readonly attrPath: readonly string[]; readonly error: string }
  | {
      readonly attrPath: readonly string[];
      readonly name: string;
      readonly drvPath: string;
      readonly meta: { readonly mark: JobMark; readonly limits?: JobLimits };
    };

/**
 * Reads one line; throws when it is none that nix-eval-jobs prints for our expression. By hand: there
 * are tens of thousands of them, and a schema takes longer for each than all the rest of reading it.
 */
export function parseJobsLine(line: string): JobsLine {
  const value: unknown = JSON.parse(line);
  if (!isObject(value)) throw unreadable('object');
  const { attrPath, error, name, drvPath, meta } = value;
  if (!isStrings(attrPath)) throw unreadable('attrPath');
  if (typeof error === 'string') return { attrPath, error };
  if (typeof name !== 'string' || typeof drvPath !== 'string') throw unreadable('name and drvPath');
  if (!isObject(meta)) throw unreadable('meta');
  const mark = jobMark(meta.mark);
  if (meta.limits === undefined) return { attrPath, name, drvPath, meta: { mark } };
  return { attrPath, name, drvPath, meta: { mark, limits: jobLimits.parse(meta.limits) } };
}

/** Characters read of an error whose line is too long; what a person is shown is far less. */
const readOfLong = 1024 * 1024;

/** The error in a line of which only the beginning is there; undefined for any other. */
export function parseCutLine(line: string): JobsLine | undefined {
  const head = errorHead.exec(line.slice(0, 100_000));
  if (head === null) return undefined;
  const words = line.slice(head[0].length, head[0].length + readOfLong);
  // The last character may be half an escape, `\\u12`.
  for (let less = 0; less < 6; less += 1) {
    try {
      const error: unknown = JSON.parse(`"${words.slice(0, words.length - less)}"`);
      const attrPath: unknown = JSON.parse(head[1] ?? '');
      if (typeof error === 'string' && isStrings(attrPath)) return { attrPath, error };
    } catch {}
  }
  return undefined;
}

/** Keys are in the order of the alphabet. */
const errorHead = /^\{"attr":"(?:[^"\\]|\\.)*","attrPath":(\[(?:"(?:[^"\\]|\\.)*",?)*\]),"error":"/;

const crash = /evaluation worker (?:exited|got killed|.*pipe got closed)|worker pipe got closed/;
/** The second one since 2.35. */
const crashPath = /(?:attrPath|evaluating) '([^']*)'/;

/** How a run ended that did not end well, from what it said. */
export type JobsDeath =
  /** A worker died; the path is in the wrapped tree, when it was named. */
  | { readonly kind: 'crash'; readonly wrappedPath?: readonly string[]; readonly text: string }
  /** Anything else: options, the store, the wrapper itself. */
  | { readonly kind: 'failure'; readonly text: string };

/** Reads the last words of nix-eval-jobs. Colours are gone already. */
export function parseJobsDeath(lines: readonly string[]): JobsDeath {
  const text = lines.join('\n').trim();
  const line = lines.findLast((words) => crash.test(words));
  if (line === undefined) return { kind: 'failure', text };
  // Names have no dots and no quotes in the wrapped tree, so this reading is the only one.
  const path = crashPath.exec(line)?.[1];
  const said = describeCrash(line);
  return path === undefined || path === ''
    ? { kind: 'crash', text: said }
    : { kind: 'crash', wrappedPath: path.replaceAll('"', '').split('.'), text: said };
}

/** Without the path, which is of the wrapped tree, and what nix-eval-jobs takes for a mistake of its own. */
function describeCrash(line: string): string {
  if (/killed by SIGSEGV|signal 11\b/.test(line)) return 'stack overflow (possible infinite recursion)';
  // It looked before the kernel had told it of the death, as it mostly does when memory is written to disk.
  if (/worker pipe got closed|waitpid/.test(line)) {
    return unclear;
  }
  return line.slice(line.search(/evaluation worker/));
}

const unclear =
  'the evaluation worker died: of a stack overflow (possible infinite recursion), or killed for want of memory';

/** Of what two deaths at one path said. Whether the kernel has told of a death in time is chance. */
export function moreTelling(first: string | undefined, second: string): string {
  return first !== undefined && second === unclear ? first : second;
}
