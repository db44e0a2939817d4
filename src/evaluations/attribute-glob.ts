/** Patterns of attributes, as commands in comments and on the command line give them. */

/**
 * Whether an attribute's written path fits a pattern: `*` is any text, `?` any character. Goes back to
 * the last star only, so that no pattern takes longer than both lengths multiplied.
 */
export function matchesGlob(glob: string, path: string): boolean {
  let inGlob = 0;
  let inPath = 0;
  let star: { readonly inGlob: number; inPath: number } | undefined;
  while (inPath < path.length) {
    if (glob[inGlob] === '*') {
      star = { inGlob, inPath };
      inGlob += 1;
    } else if (inGlob < glob.length && (glob[inGlob] === '?' || glob[inGlob] === path[inPath])) {
      inGlob += 1;
      inPath += 1;
    } else if (star) {
      star.inPath += 1;
      inPath = star.inPath;
      inGlob = star.inGlob + 1;
    } else {
      return false;
    }
  }
  while (glob[inGlob] === '*') inGlob += 1;
  return inGlob === glob.length;
}
