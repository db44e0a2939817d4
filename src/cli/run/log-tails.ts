/** The last lines of every build's log: enough to explain a failure, bounded whatever is printed. */

export interface LogTails {
  add(drvPath: string, line: Buffer): void;
  /** The last line that is not blank, for a live display. */
  lastOf(drvPath: string): string;
  linesOf(drvPath: string): readonly string[];
  /** For builds that were good. */
  forget(drvPath: string): void;
}

const keptLines = 25;
const keptBytesOfALine = 2000;

export function createLogTails(): LogTails {
  const tails = new Map<string, { lines: string[]; last: string }>();
  return {
    add(drvPath, line) {
      const tail = tails.get(drvPath) ?? { lines: [], last: '' };
      const text = line.toString('utf8', 0, Math.min(line.length, keptBytesOfALine));
      tail.lines.push(text);
      if (tail.lines.length > keptLines) tail.lines.shift();
      if (text.trim() !== '') tail.last = text;
      tails.set(drvPath, tail);
    },
    lastOf: (drvPath) => tails.get(drvPath)?.last ?? '',
    linesOf: (drvPath) => tails.get(drvPath)?.lines ?? [],
    forget: (drvPath) => void tails.delete(drvPath),
  };
}
