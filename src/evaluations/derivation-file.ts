/**
 * The two facts about a derivation that a job shows and that evaluation must not force: its outputs
 * and its system, read from the `.drv` file (ATerm:
 * `Derive([(output,path,algorithm,hash),…],[inputs],[sources],system,builder,…`).
 */
import { readFile } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';

export interface DerivationFacts {
  readonly system: string;
  /** Output name -> store path; null for content-addressed outputs. */
  readonly outputs: Readonly<Record<string, string | null>>;
}

/** Where the files of a store really are: they differ for a store with a root directory of its own. */
export interface StoreLocation {
  /** `/nix/store`. */
  readonly storeDir: string;
  /** The same directory in the file system. */
  readonly physicalDir: string;
}

/** Reads a `.drv` file. Undefined when it is not one of this store, or no derivation. */
export async function readDerivationFacts(
  drvPath: string,
  store: StoreLocation,
): Promise<DerivationFacts | undefined> {
  const name = relative(store.storeDir, drvPath);
  if (isAbsolute(name) || name.includes('/') || name.startsWith('..') || !name.endsWith('.drv'))
    return undefined;
  try {
    return parseFacts(await readFile(join(store.physicalDir, name), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Reads outputs and system; throws on anything that is not a derivation. */
export function parseFacts(text: string): DerivationFacts {
  const reader = createReader(text);
  reader.expect('Derive([');
  const outputs: Record<string, string | null> = {};
  while (!reader.accept(']')) {
    reader.accept(',');
    reader.expect('(');
    const name = reader.string();
    reader.expect(',');
    const path = reader.string();
    reader.expect(',');
    reader.string();
    reader.expect(',');
    reader.string();
    reader.expect(')');
    outputs[name] = path === '' ? null : path;
  }
  reader.expect(',');
  reader.skipList();
  reader.expect(',');
  reader.skipList();
  reader.expect(',');
  return { outputs, system: reader.string() };
}

interface Reader {
  accept(token: string): boolean;
  expect(token: string): void;
  string(): string;
  skipList(): void;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

function createReader(text: string): Reader {
  let at = 0;
  const accept = (token: string): boolean => {
    if (!text.startsWith(token, at)) return false;
    at += token.length;
    return true;
  };
  const expect = (token: string): void => {
    if (!accept(token)) throw new Error(`not a derivation: expected ${token} at ${at}`);
  };
  /** Moves behind the closing quote; `at` is behind the opening one. */
  const endOfString = (): number => {
    const start = at;
    while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
    expect('"');
    return start;
  };
  return {
    accept,
    expect,
    string() {
      expect('"');
      const start = endOfString();
      return text
        .slice(start, at - 1)
        .replace(/\\(.)/gs, (_, character: string) => escapes[character] ?? character);
    },
    skipList() {
      let depth = 0;
      do {
        const character = text[at];
        if (character === undefined) throw new Error('not a derivation: unfinished list');
        at += 1;
        if (character === '"') endOfString();
        else if (character === '[') depth += 1;
        else if (character === ']') depth -= 1;
      } while (depth > 0);
    },
  };
}
