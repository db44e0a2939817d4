/** The failures that the traversal rules throw themselves, turned into sentences. */

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
    return `error: '${file}' must evaluate to an attribute set, but it evaluates to ${describeType(first)}${first === 'lambda' ? ' (only a function whose arguments are an attribute pattern with defaults is called)' : ''}`;
  }
  if (what === 'job-attribute') {
    return `error: the attribute '${first}' of a derivation must be a string, but it is ${describeType(second)}`;
  }
  return undefined;
}

function describeType(type: string | undefined): string {
  return typeNames[type ?? ''] ?? `a value of type '${type}'`;
}
