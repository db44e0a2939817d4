/** The command that builds one attribute of a checkout by hand. */
import type { AttributePath } from '../../evaluations/index.ts';

const plainName = /^[A-Za-z_][A-Za-z0-9_'-]*$/;
/** What nix-build's attribute paths can hold between quotes: they know no escapes. */
const quotableName = /^[^"\p{C}\p{Zl}\p{Zp}]+$/u;

/** `nix-build nix/ci.nix -A checks.test`; undefined where no such line can be written. */
export function reproductionLine(file: string | undefined, path: AttributePath): string | undefined {
  if (file === undefined || /\p{C}/u.test(file)) return undefined;
  // A file name that begins with a dash would be read as an option.
  const target = shellWord(file.startsWith('-') ? `./${file}` : file);
  if (path.length === 0) return `nix-build ${target}`;
  if (!path.every((name) => quotableName.test(name))) return undefined;
  const attribute = path.map((name) => (plainName.test(name) ? name : `"${name}"`)).join('.');
  return `nix-build ${target} -A ${shellWord(attribute)}`;
}

function shellWord(word: string): string {
  return /^[A-Za-z0-9_./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
