/** Nix's words for a build that failed, without what stands beside them anyway: the derivation, its log, its outputs. */
import { firstLine, plainText } from '../markdown.ts';

// Nix until 2.29 and from 2.30 on.
const exit =
  /^(?:error: )?(?:builder(?: for '[^']*')?|Cannot build '[^']*'\.\s*Reason: builder) (?:failed|exited) (?:with|due to) (exit code \d+|signal \d+(?: \([^)]*\))?)/;
const noOutput = /failed to produce output path for output '([^']*)'/;
const derivation = /^(?:builder for|build of|Cannot build) '[^']*'[.:]? (?:failed[.:]? )?/;

/** `exit code 2`, `its output out was not made`, else the line that says most; empty for no message. */
export function shortCause(message: string): string {
  return knownCause(message) ?? firstLine(lastError(message).replace(derivation, ''));
}

/** Of a build: where newer versions of Nix say more than one line with `error:`, the last is what went wrong. */
function lastError(message: string): string {
  const lines = message.split('\n');
  for (let index = lines.length - 1; index >= 0; index -= 1) {
    const error = /^\s*error:\s*(\S.*)$/.exec(plainText(lines[index] ?? ''))?.[1];
    if (error !== undefined) return error.trim();
  }
  return firstLine(message);
}

/** Whether there is more to read in the message than `shortCause` tells. */
export function saysMore(message: string): boolean {
  const text = plainText(message).trim();
  return text !== '' && knownCause(text) === undefined && text !== shortCause(text);
}

function knownCause(message: string): string | undefined {
  const text = plainText(message).trim();
  const ended = exit.exec(text)?.[1];
  if (ended !== undefined) return ended;
  const output = noOutput.exec(text)?.[1];
  return output === undefined ? undefined : `its output ${output} was not made`;
}
