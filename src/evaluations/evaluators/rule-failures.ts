/** The failures that the traversal rules throw themselves, turned into sentences. */

/** In the trace of an error, behind the nonce: a function at the top level needs what nobody passes. */
export const argumentMissing = 'argument';

const typeNames: Readonly<Record<string, string>> = {
  bool: 'a boolean',
  float: 'a number',
  int: 'a number',
  lambda: 'a function',
  list: 'a list',
  null: 'null',
  path: 'a path',
  string: 'a string',
};

/**
 * The sentence for a message that the rules threw, or undefined for any other message. `file` is
 * the evaluated file, relative to the repository.
 */
export function explainRuleFailure(text: string, nonce: string, file: string): string | undefined {
  // Newer versions also quote our source, in which the nonce is followed by something else.
  const words = text
    .split(nonce)
    .slice(1)
    .map((rest) => /^(root|job-attribute):[\w:-]+/.exec(rest)?.[0]);
  const [what, first, second] = words.find((found) => found !== undefined)?.split(':') ?? [];
  if (what === 'root') {
    return `error: '${file}' must evaluate to an attribute set, but it evaluates to ${describeType(first)}${first === 'lambda' ? ' (only a function whose arguments are an attribute pattern with defaults is called)' : ''}${first === 'list' ? ': give each of its values a name' : ''}`;
  }
  if (what === 'job-attribute') {
    return `error: the attribute '${first}' of a derivation must be a string, but it is ${describeType(second)}`;
  }
  return undefined;
}

/** Whether the rules marked the error as one of calling the evaluated file's own function. */
export function failedForWantOfAnArgument(text: string, nonce: string): boolean {
  return text.includes(nonce + argumentMissing);
}

function describeType(type: string | undefined): string {
  return typeNames[type ?? ''] ?? `a value of type '${type}'`;
}
