/** What nix-eval-jobs prints: JSON lines on stdout, and on stderr why it died. */
import { z } from 'zod';
import { jobLimits, jobMarks } from '../walker/walk-records.ts';

const jobLine = z.object({
  attrPath: z.array(z.string()),
  name: z.string(),
  drvPath: z.string(),
  meta: z.object({ mark: z.enum(jobMarks), limits: z.exactOptional(jobLimits) }),
});

const errorLine = z.object({ attrPath: z.array(z.string()), error: z.string() });

export type JobsLine = z.infer<typeof jobLine> | z.infer<typeof errorLine>;

/** Reads one line; throws when it is none that nix-eval-jobs prints for our expression. */
export function parseJobsLine(line: string): JobsLine {
  const value: unknown = JSON.parse(line);
  const error = errorLine.safeParse(value);
  return error.success ? error.data : jobLine.parse(value);
}

const crash = /evaluation worker (?:exited|got killed|.*pipe got closed)|worker pipe got closed/;
const crashPath = /attrPath '([^']*)'/;

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
  // Names have no dots in the wrapped tree, so this reading is the only one.
  const path = crashPath.exec(line)?.[1];
  const said = line.replace(/^\s*error:\s*/, '');
  return path === undefined || path === ''
    ? { kind: 'crash', text: said }
    : { kind: 'crash', wrappedPath: path.split('.'), text: said };
}
