import { realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';

/** Where a repository keeps what is to be built, in the order of the Hercules CI document. */
export const evaluationFiles = ['nix/ci.nix', 'ci.nix', 'default.nix'] as const;

/** Evaluated where none of those exists. */
export const flakeFile = 'flake.nix';

export type EvaluationFile = (typeof evaluationFiles)[number] | typeof flakeFile;

export type FileSearch =
  | { readonly found: true; readonly file: EvaluationFile; readonly notices: readonly string[] }
  /** A file counts but may not be evaluated: its link leads out of the checkout. */
  | { readonly found: false; readonly file: EvaluationFile; readonly problem: string }
  | { readonly found: false; readonly file?: undefined; readonly problem: string };

/**
 * Chooses the file to evaluate. Only regular files count, symbolic links followed: a directory of
 * that name or a dangling link does not, and the search goes on. The chosen file decides: what is
 * wrong in it is an error, not a reason to try the next name.
 */
export async function findEvaluationFile(checkout: string): Promise<FileSearch> {
  const root = await realpath(checkout);
  const present: EvaluationFile[] = [];
  for (const file of [...evaluationFiles, flakeFile] as const) {
    if (await isRegularFile(join(root, file))) present.push(file);
  }
  const [file] = present;
  if (file === undefined) return { found: false, problem: nothingFound };
  const target = await realpath(join(root, file));
  if (!isInside(target, root)) {
    return {
      found: false,
      file,
      problem: `'${file}' is a symbolic link that leads out of the repository, so it is not evaluated.`,
    };
  }
  // The agent refuses this as ambiguous; the document has an order, so the order decides, aloud.
  const hidden = file === 'nix/ci.nix' && present.includes('ci.nix');
  return {
    found: true,
    file,
    notices: hidden
      ? [`Both 'nix/ci.nix' and 'ci.nix' exist; 'nix/ci.nix' is evaluated and 'ci.nix' is not.`]
      : [],
  };
}

const nothingFound =
  `The repository has nothing to evaluate: none of 'nix/ci.nix', 'ci.nix', 'default.nix' ` +
  `and 'flake.nix' is a file at its top level.`;

/** Whether a resolved path is the directory or lies below it. */
export function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}

async function isRegularFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    // Absent, dangling, a link in a circle, or below something that is no directory.
    return false;
  }
}
