/**
 * Collects what an evaluator prints between two records, in bounded memory. If it dies there, this
 * is the message. Only the beginning and the end are kept once it is too long: Nix 2.8 says what
 * went wrong first and where after that, newer versions the other way round.
 */
export interface LastWords {
  add(line: string): void;
  clear(): void;
  lines(): readonly string[];
}

/** `limit`: characters kept of the beginning and of the end, each. */
export function collectLastWords(limit: number): LastWords {
  let head: string[] = [];
  let tail: string[] = [];
  let headSize = 0;
  let tailSize = 0;
  let lost = false;
  return {
    add(line) {
      if (headSize < limit) {
        head.push(line.slice(0, limit - headSize));
        headSize += line.length + 1;
        lost ||= headSize > limit + 1;
        return;
      }
      tail.push(line.slice(0, limit));
      tailSize += Math.min(line.length, limit) + 1;
      if (line.length > limit) lost = true;
      if (tailSize <= 2 * limit) return;
      // Dropped in bulk, so that each line is moved once on average.
      let drop = 0;
      while (tailSize > limit && drop < tail.length - 1) {
        tailSize -= (tail[drop] ?? '').length + 1;
        drop += 1;
      }
      tail = tail.slice(drop);
      lost = true;
    },
    clear() {
      head = [];
      tail = [];
      headSize = 0;
      tailSize = 0;
      lost = false;
    },
    lines: () => [...head, ...(lost ? ['… (some lines were left out)'] : []), ...tail],
  };
}
