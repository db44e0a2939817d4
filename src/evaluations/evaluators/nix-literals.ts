/**
 * Values as Nix source text. Expressions are put together from constants of the program and these
 * literals only, so nothing from a repository can become code of ours.
 */

/** A Nix string literal for any text. */
export function nixString(text: string): string {
  const escaped = text
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('$', '\\$')
    .replaceAll('\n', '\\n')
    // Nix turns bare carriage returns in literals into line feeds.
    .replaceAll('\r', '\\r')
    .replaceAll('\t', '\\t');
  return `"${escaped}"`;
}

/** `null`, or a string literal. */
export function nixOptionalString(text: string | undefined): string {
  return text === undefined ? 'null' : nixString(text);
}

/** A list of integers. */
export function nixIndices(numbers: readonly number[]): string {
  return `[ ${numbers.map((number) => (number < 0 ? `(${number})` : number)).join(' ')} ]`;
}
