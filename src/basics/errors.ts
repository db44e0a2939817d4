/**
 * Errors a person is meant to read. Each says what happened (`message`), and, where somebody can
 * act on it, what to do (`hint`). Anything else that is thrown is a bug and shows its stack.
 */

/** Process exit statuses of every command (design, public contracts). */
export const exitStatus = { ok: 0, failed: 1, usage: 2, configuration: 3 } as const;

export interface OperatorErrorDetails {
  /** Stable identifier for programs, for example `nix-missing`. */
  readonly code: string;
  readonly message: string;
  /** What the reader can do about it, as one or more full sentences. */
  readonly hint?: string;
  readonly exitStatus?: number;
  readonly cause?: unknown;
}

/** An expected failure with words for the person who has to deal with it. */
export class OperatorError extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly exitStatus: number;

  constructor(details: OperatorErrorDetails) {
    super(details.message, details.cause === undefined ? {} : { cause: details.cause });
    this.name = 'OperatorError';
    this.code = details.code;
    this.hint = details.hint;
    this.exitStatus = details.exitStatus ?? exitStatus.failed;
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(messageOf).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}
