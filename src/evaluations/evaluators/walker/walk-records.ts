/** The records of `walk-expression.ts`, read back. */
import type { JobLimits, SourceLocation } from '../../events.ts';
import {
  isIndices,
  isObject,
  isStrings,
  type JobMark,
  jobLimits,
  jobMark,
  unreadable,
} from './record-fields.ts';
import type { Cursor } from './walk-expression.ts';

export interface FoundJob {
  readonly name: string;
  readonly drvPath: string;
  readonly mark: JobMark;
}

export type WalkRecord =
  | {
      readonly kind: 'entered';
      readonly path: readonly string[];
      readonly cursor: Cursor;
      /** Where the attribute is defined, with an absolute path; null where Nix does not know. */
      readonly position: SourceLocation | null;
      /** The attribute that was entered before is this job, and was not told yet. */
      readonly before?: FoundJob;
    }
  /** The attribute that was entered last is a job. */
  | { readonly kind: 'found'; readonly job: FoundJob }
  /** What the job that was found last asks for. */
  | { readonly kind: 'limits'; readonly limits: JobLimits }
  /** The code asked which commit it is. */
  | { readonly kind: 'commit-used' }
  /** The whole tree is done. */
  | { readonly kind: 'finished'; readonly before?: FoundJob }
  /** A command of a session is done, well or not. */
  | { readonly kind: 'ready' };

/** The record in a line, or undefined for a line that is somebody else's. */
export function parseWalkRecord(line: string, nonce: string): WalkRecord | undefined {
  const prefix = `trace: ${nonce}`;
  if (!line.startsWith(prefix)) return undefined;
  const kind = line.charAt(prefix.length);
  const value: unknown = JSON.parse(line.slice(prefix.length + 1));
  if (kind === 'E') return entered(value);
  if (kind === 'C') return { kind: 'commit-used' };
  if (kind === 'Z') return value === null ? { kind: 'finished' } : { kind: 'finished', before: found(value) };
  if (kind === 'D') return { kind: 'ready' };
  if (kind === 'M') return { kind: 'limits', limits: jobLimits.parse(value) };
  return { kind: 'found', job: found(value) };
}

function entered(value: unknown): WalkRecord {
  if (!isObject(value)) throw unreadable('object');
  const { p: path, i: cursor, at, was } = value;
  if (!isStrings(path)) throw unreadable('path');
  if (!isIndices(cursor)) throw unreadable('cursor');
  const here = { kind: 'entered', path, cursor, position: at === null ? null : position(at) } as const;
  return was === undefined ? here : { ...here, before: found(was) };
}

function position(value: unknown): SourceLocation {
  if (!isObject(value)) throw unreadable('position');
  const { file, line, column } = value;
  if (typeof file !== 'string' || typeof line !== 'number' || typeof column !== 'number') {
    throw unreadable('position');
  }
  return { file, line, column };
}

function found(value: unknown): FoundJob {
  if (!isObject(value)) throw unreadable('object');
  const { name, drvPath, mark } = value;
  if (typeof name !== 'string' || typeof drvPath !== 'string') throw unreadable('name and drvPath');
  return { name, drvPath, mark: jobMark(mark) };
}
