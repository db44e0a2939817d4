import { firstLine, plainText } from '../markdown.ts';

/**
 * The one line of Nix's message that says what is wrong. Newer versions print where they were first
 * and the error itself last, older ones begin with it; both write `error:` before it.
 */
export function headline(message: string): string {
  const lines = message.split('\n');
  for (let index = lines.length - 1; index >= 0; index -= 1) {
    const line = lines[index] ?? '';
    // Before anything costly: of thousands of messages all lines would be made plain.
    if (!line.includes('error:')) continue;
    const error = /^\s*error:\s*(\S.*)$/.exec(plainText(line))?.[1];
    if (error !== undefined) return error.trim();
  }
  return firstLine(message);
}
