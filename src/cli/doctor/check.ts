/** One thing that was looked at. */
import { messageOf, OperatorError } from '../../basics/index.ts';

export type CheckStatus =
  | 'good'
  /** Works, but something is worth a look or an optional part is not there. */
  | 'attention'
  /** Needed, and missing or broken. */
  | 'missing';

export interface CheckResult {
  /** Stable, for programs. */
  readonly name: string;
  readonly status: CheckStatus;
  /** What was found. */
  readonly found: string;
  /** What to do; empty for good ones. */
  readonly advice: string;
}

export function good(name: string, found: string): CheckResult {
  return { name, status: 'good', found, advice: '' };
}

export function attention(name: string, found: string, advice: string): CheckResult {
  return { name, status: 'attention', found, advice };
}

export function missing(name: string, found: string, advice: string): CheckResult {
  return { name, status: 'missing', found, advice };
}

/** A check that failed with an error: its words, and its hint as advice. */
export function broken(name: string, error: unknown): CheckResult {
  const hint = error instanceof OperatorError ? (error.hint ?? '') : '';
  return missing(name, messageOf(error), hint);
}
