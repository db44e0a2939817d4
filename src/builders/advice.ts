import { messageOf, OperatorError } from '../basics/index.ts';

/** What happened and, on a line of its own, what to do: it is all that operators see of a machine. */
export function adviceOn(error: unknown): string {
  const hint = error instanceof OperatorError ? error.hint : undefined;
  return hint === undefined ? messageOf(error) : `${messageOf(error)}\n${hint}`;
}
