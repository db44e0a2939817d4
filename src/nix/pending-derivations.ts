/**
 * Derivations that exist as a text and not, or not yet, as a file of the store. Most that an
 * evaluation makes are never built again, so only what is needed is ever written. Their texts may be
 * hundreds of megabytes: memory holds where each is, a spool the rest.
 */
import { parseDerivation } from './aterm.ts';
import type { StoreText } from './daemon/index.ts';
import { createSpool } from './spool.ts';
import type { Derivation } from './types.ts';

export interface PendingDerivations {
  /** How many there are, those that were written meanwhile included. */
  readonly size: number;
  /** Of all their texts. */
  readonly bytes: number;
  paths(): IterableIterator<string>;
  /** The path must be the right one for the content and its references. */
  add(drvPath: string, content: Buffer, references: readonly string[]): void;
  has(drvPath: string): boolean;
  /** Parsed anew at each call: tens of thousands of parsed ones would take too much memory. */
  read(drvPath: string): Derivation | undefined;
  references(drvPath: string): readonly string[] | undefined;
  /**
   * Makes these, and those of this memory that they refer to, valid in the store. Paths that are not
   * in this memory are left alone. May be repeated; calls at the same time share their work.
   */
  write(drvPaths: readonly string[]): Promise<void>;
  /** Keeps other paths of the store from being collected as long as what is written. */
  keep(paths: readonly string[]): Promise<void>;
  /** Lets go of what they hold, when nobody reads or writes any more. */
  close(): void;
}

export interface PendingDerivationsOptions {
  /** Makes texts valid in the store, in this order. Each one's references come before it. */
  readonly addTexts: (texts: readonly StoreText[]) => Promise<void>;
  readonly keep?: (paths: readonly string[]) => Promise<void>;
}

/** What is known of one without looking into the spool, where its references stand before its content. */
interface Entry {
  readonly at: number;
  readonly referenceBytes: number;
  readonly contentBytes: number;
  /** Settled when it is in the store; true once it is. */
  written: Promise<void> | true | undefined;
}

/** Bytes of texts in one operation, which is held in memory several times over. */
const batchBytes = 1024 * 1024;

export function createPendingDerivations(options: PendingDerivationsOptions): PendingDerivations {
  const entries = new Map<string, Entry>();
  const spool = createSpool();
  let bytes = 0;

  function referencesOf({ at, referenceBytes }: Entry): readonly string[] {
    return referenceBytes === 0 ? [] : spool.read(at, referenceBytes).toString('latin1').split('\n');
  }

  function contentOf({ at, referenceBytes, contentBytes }: Entry): Buffer {
    return spool.read(at + referenceBytes, contentBytes);
  }

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
        if (entry.written !== true) others.add(entry.written);
        continue;
      }
      stack.push({ path: top.path, done: true });
      for (const path of referencesOf(entry)) {
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
      const content = contentOf(entry);
      batch.push({ path, content, references: referencesOf(entry) });
      size += content.length;
      if (size < batchBytes) continue;
      await options.addTexts(batch);
      batch = [];
      size = 0;
    }
    if (batch.length > 0) await options.addTexts(batch);
  }

  async function write(drvPaths: readonly string[]): Promise<void> {
    const { ordered, others } = unwritten(drvPaths);
    try {
      await (ordered.length === 0 ? Promise.all(others) : begin(ordered, others));
    } catch (error) {
      // Others may have failed for what nobody asked for here.
      if (others.size === 0) throw error;
      await write(drvPaths);
    }
  }

  async function begin(paths: readonly string[], others: ReadonlySet<Promise<void>>): Promise<void> {
    const written = writeInBatches(paths, others);
    const mine = paths.flatMap((path) => entries.get(path) ?? []);
    for (const entry of mine) entry.written = written;
    try {
      await written;
      for (const entry of mine) entry.written = true;
    } catch (error) {
      for (const entry of mine) if (entry.written === written) entry.written = undefined;
      throw error;
    }
  }

  return {
    get size() {
      return entries.size;
    },
    get bytes() {
      return bytes;
    },
    paths: () => entries.keys(),
    add: (drvPath, content, references) => {
      if (entries.has(drvPath)) return;
      const before = Buffer.from(references.join('\n'), 'latin1');
      const at = spool.add(Buffer.concat([before, content]));
      const [referenceBytes, contentBytes] = [before.length, content.length];
      entries.set(drvPath, { at, referenceBytes, contentBytes, written: undefined });
      bytes += contentBytes;
    },
    has: (drvPath) => entries.has(drvPath),
    read: (drvPath) => {
      const entry = entries.get(drvPath);
      return entry && parseDerivation(contentOf(entry));
    },
    references: (drvPath) => {
      const entry = entries.get(drvPath);
      return entry && referencesOf(entry);
    },
    write,
    keep: async (paths) => options.keep?.(paths),
    close: () => spool.close(),
  };
}
