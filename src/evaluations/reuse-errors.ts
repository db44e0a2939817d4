/**
 * Which evaluation errors would come again. Only what is known to follow from the code alone is
 * believed to: a download that failed and a `throw` are both just words, so words that are not known
 * here are taken for bad luck.
 */
import { stripAnsi } from './evaluators/error-text.ts';

const lasting: readonly RegExp[] = [
  /^syntax error, unexpected /,
  /^undefined variable '/,
  /^attribute '[^']*' missing$/,
  /^attribute '[^']*' already defined at /,
  /^assertion .* failed$/,
  /^assertion failed/,
  /^infinite recursion encountered/,
  /^(value is|expected) .+ (while|but found) /,
  /^cannot (coerce|add|concatenate|compare|convert) /,
  /^attempt to call something which is not a function/,
  /called without required argument '/,
  /called with unexpected argument '/,
  /^division by zero$/,
  /^file '[^']*' was not found in the Nix search path/,
  /^(path|file) '[^']*' does not exist$/,
  /^the attribute '[^']*' of a derivation must be a string/,
  /^'[^']*' must evaluate to an attribute set/,
  /^access to (absolute )?path '[^']*' is forbidden in restricted mode/,
  /^access to URI '[^']*' is forbidden in restricted mode/,
];

/** Whether evaluating the same code again is sure to end in this error. */
export function isLastingError(message: string): boolean {
  const errors = stripAnsi(message)
    .split('\n')
    .flatMap((line) => /^\s*(?:error: *)+(\S.*)$/.exec(line)?.[1]?.trim() ?? []);
  return errors.length > 0 && errors.every((error) => lasting.some((pattern) => pattern.test(error)));
}
