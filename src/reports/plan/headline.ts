import { firstLine, plainText } from '../markdown.ts';

/**
 * The one line of Nix's message that says what is wrong. Newer versions print where they were first
 * and the error itself last, older ones begin with it; both write `error:` before it.
 */
export function headline(message: string): string {
  const errors = plainText(message)
    .split('\n')
    .flatMap((line) => /^\s*error:\s*(\S.*)$/.exec(line)?.[1] ?? []);
  return errors.at(-1)?.trim() ?? firstLine(message);
}
