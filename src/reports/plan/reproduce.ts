/** The commands that build one attribute by hand, in any clone of its repository. */
import { type AttributePath, formatAttributePath } from '../../evaluations/index.ts';

const plainName = /^[A-Za-z_][A-Za-z0-9_'-]*$/;
/** What nix-build's attribute paths can hold between quotes: they know no escapes. */
const quotableName = /^[^"\p{C}\p{Zl}\p{Zp}]+$/u;

export interface Reproduction {
  readonly sha: string;
  readonly file: string | undefined;
  readonly path: AttributePath;
}

/**
 * Lines for a shell: the commit, by its hash, which GitHub gives whatever branch or pull request it came
 * with; the attribute with Nix alone; the same as here. Undefined where no such lines can be written.
 */
export function reproductionLines({ sha, file, path }: Reproduction): string | undefined {
  if (file === undefined) return undefined;
  const withNix = file === 'flake.nix' ? flakeLine(path) : reproductionLine(file, path);
  if (withNix === undefined) return undefined;
  return [
    `git fetch origin ${sha}`,
    `git checkout --detach ${sha}`,
    withNix,
    `ringmaster run --attribute ${shellWord(formatAttributePath(path))}`,
  ].join('\n');
}

/** `nix-build nix/ci.nix -A checks.test`; undefined where no such line can be written. */
export function reproductionLine(file: string | undefined, path: AttributePath): string | undefined {
  if (file === undefined || /\p{C}/u.test(file)) return undefined;
  // A file name that begins with a dash would be read as an option.
  const target = shellWord(file.startsWith('-') ? `./${file}` : file);
  if (path.length === 0) return `nix-build ${target}`;
  const attribute = attributeOf(path);
  return attribute === undefined ? undefined : `nix-build ${target} -A ${shellWord(attribute)}`;
}

/** nix-build knows no flakes, and `nix` wants to be told that it does. */
function flakeLine(path: AttributePath): string | undefined {
  const attribute = attributeOf(path);
  if (attribute === undefined) return undefined;
  return `nix --extra-experimental-features 'nix-command flakes' build ${shellWord(`.#${attribute}`)}`;
}

function attributeOf(path: AttributePath): string | undefined {
  if (!path.every((name) => quotableName.test(name))) return undefined;
  return path.map((name) => (plainName.test(name) ? name : `"${name}"`)).join('.');
}

function shellWord(word: string): string {
  return /^[A-Za-z0-9_./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
