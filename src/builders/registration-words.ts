/** What is said of a builder by hand, checked. */
import { OperatorError } from '../basics/index.ts';

export function invalid(message: string, hint: string): OperatorError {
  return new OperatorError({ code: 'builder-invalid', message, hint, exitStatus: 2 });
}

/** Throws an OperatorError for what cannot be the name of a system, a feature or a trust domain. */
export function checkWords(lists: readonly (readonly string[] | null | undefined)[]): void {
  const bad = lists.flatMap((list) => list ?? []).find((word) => !/^[\w.+-]{1,64}$/.test(word));
  if (bad !== undefined) throw invalid(`'${bad}' is no name.`, 'Separate names with commas.');
}
