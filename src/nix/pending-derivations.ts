/**
 * Derivations that exist as a text and not, or not yet, as a file of the store. Most that an
 * evaluation makes are never built again, so only what is needed is ever written.
 */
import { parseDerivation } from './aterm.ts';
import type { StoreText } from './daemon/index.ts';
import type { Derivation } from './types.ts';

export interface PendingDerivations {
  /** How many there are, those that were written meanwhile included. */
  readonly size: number;
  /** Of all their texts. */
  readonly bytes: number;
  paths(): IterableIterator<string>;
  /** `text`: the file's content, one character a byte (`latin1`). The path must be the right one for it. */
  add(drvPath: string, text: string, references: readonly string[]): void;
  has(drvPath: string): boolean;
  /** Parsed anew at each call: tens of thousands of parsed ones would take too much memory. */
  read(drvPath: string): Derivation | undefined;
  references(drvPath: string): readonly string[] | undefined;
  /**
   * Makes these, and those of this memory that they refer to, valid in the store. Paths that are not
   * in this memory are left alone. May be repeated; calls at the same time share their work.
   */
  write(drvPaths: readonly string[]): Promise<void>;
}

export interface PendingDerivationsOptions {
  /** Makes texts valid in the store, in this order. Each one's references come before it. */
  readonly addTexts: (texts: readonly StoreText[]) => Promise<void>;
}

interface Entry {
  readonly text: string;
  readonly references: readonly string[];
  /** Settled when it is in the store. */
  written?: Promise<void>;
}

/** Bytes of texts in one operation, which is held in memory several times over. */
const batchBytes = 8 * 1024 * 1024;

export function createPendingDerivations(options: PendingDerivationsOptions): PendingDerivations {
  const entries = new Map<string, Entry>();
  let bytes = 0;

  /** Those that nobody has begun to write, references first; and the others' ends. */
  function unwritten(drvPaths: readonly string[]) {
    const ordered: string[] = [];
    const others = new Set<Promise<void>>();
    const seen = new Set<string>();
    // Not recursive: chains of derivations can be longer than the stack.
    const stack = drvPaths.map((path) => ({ path, done: false }));
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const entry = entries.get(top.path);
      if (entry === undefined) continue;
      if (top.done) {
        ordered.push(top.path);
        continue;
      }
      if (seen.has(top.path)) continue;
      seen.add(top.path);
      if (entry.written !== undefined) {
        others.add(entry.written);
        continue;
      }
      stack.push({ path: top.path, done: true });
      for (const path of entry.references) {
        if (!seen.has(path) && entries.has(path)) stack.push({ path, done: false });
      }
    }
    return { ordered, others };
  }

  /** One operation after the other: a later one may need what an earlier one adds. */
  async function writeInBatches(paths: readonly string[], others: ReadonlySet<Promise<void>>): Promise<void> {
    await Promise.all(others);
    let batch: StoreText[] = [];
    let size = 0;
    for (const path of paths) {
      const entry = entries.get(path);
      if (entry === undefined) continue;
      const content = Buffer.from(entry.text, 'latin1');
      batch.push({ path, content, references: entry.references });
      size += content.length;
      if (size < batchBytes) continue;
      await options.addTexts(batch);
      batch = [];
      size = 0;
    }
    if (batch.length > 0) await options.addTexts(batch);
  }

  return {
    get size() {
      return entries.size;
    },
    get bytes() {
      return bytes;
    },
    paths: () => entries.keys(),
    add: (drvPath, text, references) => {
      if (entries.has(drvPath)) return;
      entries.set(drvPath, { text, references });
      bytes += text.length;
    },
    has: (drvPath) => entries.has(drvPath),
    read: (drvPath) => {
      const entry = entries.get(drvPath);
      return entry && parseDerivation(Buffer.from(entry.text, 'latin1'));
    },
    references: (drvPath) => entries.get(drvPath)?.references,
    write: async (drvPaths) => {
      const { ordered, others } = unwritten(drvPaths);
      if (ordered.length === 0) {
        await Promise.all(others);
        return;
      }
      const written = writeInBatches(ordered, others);
      const mine = ordered.flatMap((path) => entries.get(path) ?? []);
      for (const entry of mine) entry.written = written;
      try {
        await written;
      } catch (error) {
        for (const entry of mine) if (entry.written === written) delete entry.written;
        throw error;
      }
    },
  };
}
