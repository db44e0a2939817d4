/** The records of `walk-expression.ts`, read back. */
import { z } from 'zod';
import type { JobLimits } from '../../events.ts';
import type { Cursor } from './walk-expression.ts';

const position = z.object({ file: z.string(), line: z.number(), column: z.number() });

const entered = z.object({
  p: z.array(z.string()),
  i: z.array(z.number().int().nonnegative()),
  at: position.nullable(),
});

export const jobMarks = ['regular', 'may-fail', 'must-fail', 'dependencies-only', 'effect'] as const;

const found = z.object({
  name: z.string(),
  drvPath: z.string(),
  mark: z.enum(jobMarks),
});

export const jobLimits = z.object({
  timeoutSeconds: z.exactOptional(z.number()),
  maxSilentSeconds: z.exactOptional(z.number()),
  priority: z.exactOptional(z.number()),
});

export type WalkRecord =
  | {
      readonly kind: 'entered';
      readonly path: readonly string[];
      readonly cursor: Cursor;
      /** Where the attribute is defined, with an absolute path; null where Nix does not know. */
      readonly position: z.infer<typeof position> | null;
    }
  | {
      /** The attribute that was entered last is a job. */
      readonly kind: 'found';
      readonly name: string;
      readonly drvPath: string;
      readonly mark: (typeof jobMarks)[number];
    }
  /** What the job that was found last asks for. */
  | { readonly kind: 'limits'; readonly limits: JobLimits }
  /** The code asked which commit it is. */
  | { readonly kind: 'commit-used' }
  /** The whole tree is done. */
  | { readonly kind: 'finished' }
  /** A command of a session is done, well or not. */
  | { readonly kind: 'ready' };

/** The record in a line, or undefined for a line that is somebody else's. */
export function parseWalkRecord(line: string, nonce: string): WalkRecord | undefined {
  const prefix = `trace: ${nonce}`;
  if (!line.startsWith(prefix)) return undefined;
  const kind = line.charAt(prefix.length);
  const value: unknown = JSON.parse(line.slice(prefix.length + 1));
  if (kind === 'E') {
    const record = entered.parse(value);
    return { kind: 'entered', path: record.p, cursor: record.i, position: record.at };
  }
  if (kind === 'C') return { kind: 'commit-used' };
  if (kind === 'Z') return { kind: 'finished' };
  if (kind === 'D') return { kind: 'ready' };
  if (kind === 'M') return { kind: 'limits', limits: jobLimits.parse(value) };
  return { kind: 'found', ...found.parse(value) };
}
