/**
 * Reading NARs, the archives of Nix, while they pass. Nothing of a file is kept; of everything else
 * only what the longest legal name takes. So a hostile NAR costs no memory, and whatever could
 * be unpacked to somewhere else, or in two ways, is refused.
 */

/** What is told of an archive's contents, in its order. Paths begin at its root, which is ''. */
export interface NarVisitor {
  readonly directory?: (path: string) => void;
  readonly file?: (path: string, size: number, executable: boolean) => void;
  readonly symlink?: (path: string, target: string) => void;
}

/** These bytes are no NAR. */
export class NarError extends Error {
  constructor(message: string) {
    super(`not a NAR: ${message}`);
    this.name = 'NarError';
  }
}

const limits = {
  /** Bytes: what Linux takes as a name and as a path. */
  name: 255,
  target: 4095,
  /** Folders in folders. No path of 4095 bytes has more. */
  depth: 2048,
} as const;

/** A number: that many bytes are needed. `skip`: that many bytes go by unseen. */
type Need = number | { readonly skip: number };
type Grammar<T = void> = Generator<Need, T, Buffer>;

/** Checks what is pushed into it. Every method throws a NarError. */
export interface NarReader {
  push(chunk: Buffer): void;
  /** Says that nothing more comes. */
  end(): void;
}

export function createNarReader(visitor: NarVisitor = {}): NarReader {
  const grammar = archive(visitor);
  let step = grammar.next();
  let held: Buffer = Buffer.alloc(0);
  let toSkip = 0;
  const advance = (bytes: Buffer) => {
    step = grammar.next(bytes);
    toSkip = typeof step.value === 'object' ? step.value.skip : 0;
  };
  return {
    push(chunk) {
      let rest = chunk;
      while (rest.length > 0) {
        if (step.done) throw new NarError('something follows its end');
        if (typeof step.value === 'object') {
          const skipped = Math.min(toSkip, rest.length);
          toSkip -= skipped;
          rest = rest.subarray(skipped);
          if (toSkip > 0) return;
          advance(rest);
        } else {
          const missing = step.value - held.length;
          const taken = rest.subarray(0, missing);
          held = held.length === 0 ? taken : Buffer.concat([held, taken]);
          rest = rest.subarray(taken.length);
          if (taken.length < missing) return;
          const whole = held;
          held = Buffer.alloc(0);
          advance(whole);
        }
      }
    },
    end() {
      if (!step.done) throw new NarError('it ends too early');
    },
  };
}

interface Folder {
  readonly path: string;
  /** Of the entry before, since entries come in the order of their bytes. */
  previous: Buffer | undefined;
}

/** The whole grammar, with a stack of its own: nested generators would cost by their depth. */
function* archive(visitor: NarVisitor): Grammar {
  yield* expect('nix-archive-1');
  const stack: Folder[] = [];
  let path = '';
  do {
    yield* expect('(');
    yield* expect('type');
    const type = yield* token();
    if (type === 'directory') {
      if (stack.length >= limits.depth) throw new NarError('it is nested too deeply');
      visitor.directory?.(path);
      stack.push({ path, previous: undefined });
    } else if (type === 'regular') yield* regularFile(path, visitor);
    else if (type === 'symlink') yield* symlink(path, visitor);
    else throw new NarError(`'${type}' is no type of file`);
    // A file closes its entry; the end of a folder closes the folder's.
    let closing = type !== 'directory';
    for (let folder = stack.at(-1); folder !== undefined; folder = stack.at(-1)) {
      if (closing) yield* expect(')');
      const next = yield* token();
      if (next === 'entry') {
        path = yield* entryName(folder);
        break;
      }
      if (next !== ')') throw new NarError(`'${next}' instead of an entry`);
      stack.pop();
      closing = true;
    }
  } while (stack.length > 0);
}

function* entryName(folder: Folder): Grammar<string> {
  yield* expect('(');
  yield* expect('name');
  const name = yield* text(limits.name, 'a name');
  const shown = name.toString('utf8');
  if (name.length === 0 || shown === '.' || shown === '..' || name.includes(0) || name.includes(0x2f)) {
    throw new NarError(`a file cannot be called '${shown}'`);
  }
  if (folder.previous !== undefined && Buffer.compare(folder.previous, name) >= 0) {
    throw new NarError(`'${shown}' is not in order`);
  }
  folder.previous = Buffer.from(name);
  yield* expect('node');
  return folder.path === '' ? shown : `${folder.path}/${shown}`;
}

function* regularFile(path: string, visitor: NarVisitor): Grammar {
  let next = yield* token();
  const executable = next === 'executable';
  if (executable) {
    yield* expect('');
    next = yield* token();
  }
  let size = 0;
  if (next === 'contents') {
    size = yield* length(Number.MAX_SAFE_INTEGER, 'a file');
    visitor.file?.(path, size, executable);
    if (size > 0) yield { skip: size };
    yield* padding(size);
    next = yield* token();
  } else visitor.file?.(path, size, executable);
  if (next !== ')') throw new NarError(`'${next}' after a file`);
}

function* symlink(path: string, visitor: NarVisitor): Grammar {
  yield* expect('target');
  const target = yield* text(limits.target, 'a link');
  if (target.length === 0 || target.includes(0)) throw new NarError('a link leads nowhere');
  visitor.symlink?.(path, target.toString('utf8'));
  yield* expect(')');
}

function* expect(word: string): Grammar {
  const found = yield* token();
  if (found !== word) throw new NarError(`'${found}' instead of '${word}'`);
}

/** One of the words that the format itself consists of. */
function* token(): Grammar<string> {
  return (yield* text(16, 'a word')).toString('latin1');
}

function* text(limit: number, what: string): Grammar<Buffer> {
  const size = yield* length(limit, what);
  if (size === 0) return Buffer.alloc(0);
  const value = yield size;
  yield* padding(size);
  return value;
}

function* padding(size: number): Grammar {
  const missing = (8 - (size % 8)) % 8;
  if (missing > 0 && (yield missing).some((byte) => byte !== 0)) throw new NarError('padding is not zero');
}

function* length(limit: number, what: string): Grammar<number> {
  const size = (yield 8).readBigUInt64LE(0);
  if (size > BigInt(limit)) throw new NarError(`${what} of ${size} bytes is too long`);
  return Number(size);
}
