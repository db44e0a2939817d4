/**
 * The ATerm syntax of `.drv` files, as strict as Nix itself: no spaces, no alternatives.
 *
 *   Derive([outputs],[input derivations],[input sources],system,builder,[arguments],[environment])
 *
 * Builders' arguments and environments may hold any bytes. A file is therefore read as Latin-1, one
 * character a byte, and a string that is valid UTF-8 then becomes text. In any other string each byte
 * from 0x80 on becomes the lone surrogate U+DC80 … U+DCFF (as in Python's `surrogateescape`, but for
 * the whole string). Valid text never has these, so that writing a derivation gives the same bytes.
 */
import type { Derivation, DerivationOutput } from './types.ts';

/** The file is not a derivation in the format that Nix writes. */
export class DerivationSyntaxError extends Error {
  constructor(message: string, position: number) {
    super(`${message} at byte ${position}`);
    this.name = 'DerivationSyntaxError';
  }
}

/** Parses the content of a `.drv` file. Throws a DerivationSyntaxError. */
export function parseDerivation(content: Buffer): Derivation {
  const reader = new Reader(content.toString('latin1'));
  reader.expect('Derive(');
  const outputs = new Map<string, DerivationOutput>();
  reader.list(() => {
    const [name, path, hashAlgorithm, hash] = reader.tuple4();
    // Nix would go by one of them, and we by the other.
    if (outputs.has(name)) reader.fail(`the output '${name}' stands there twice`);
    outputs.set(name, {
      path: ownCopy(path) || undefined,
      hashAlgorithm: hashAlgorithm || undefined,
      hash: hash || undefined,
    });
  });
  reader.expect(',');
  const inputDerivations = new Map<string, readonly string[]>();
  reader.list(() => {
    reader.expect('(');
    const path = reader.string();
    reader.expect(',');
    const names = reader.strings();
    reader.expect(')');
    inputDerivations.set(ownCopy(path), names);
  });
  reader.expect(',');
  const inputSources = reader.strings().map(ownCopy);
  reader.expect(',');
  const system = reader.string();
  reader.expect(',');
  const builder = reader.string();
  reader.expect(',');
  const args = reader.strings();
  reader.expect(',');
  const environment = new Map<string, string>();
  reader.list(() => {
    reader.expect('(');
    const name = reader.string();
    reader.expect(',');
    const value = reader.string();
    reader.expect(')');
    environment.set(name, value);
  });
  reader.expect(')');
  reader.end();
  return { outputs, inputDerivations, inputSources, system, builder, arguments: args, environment };
}

/** A part of a string holds all of it; paths are remembered longer than the texts they stand in. */
function ownCopy(path: string): string {
  return notAscii.test(path) ? path : Buffer.from(path, 'latin1').toString('latin1');
}

/** The content of the `.drv` file of a derivation: `parseDerivation` backwards. */
export function formatDerivation(derivation: Derivation): Buffer {
  const outputs = [...derivation.outputs].map(
    ([name, output]) => `(${[name, output.path, output.hashAlgorithm, output.hash].map(quote).join(',')})`,
  );
  const inputs = [...derivation.inputDerivations].map(
    ([path, names]) => `(${quote(path)},${quoteAll(names)})`,
  );
  const environment = [...derivation.environment].map(([name, value]) => `(${quote(name)},${quote(value)})`);
  const parts = [
    `[${outputs.join(',')}]`,
    `[${inputs.join(',')}]`,
    quoteAll(derivation.inputSources),
    quote(derivation.system),
    quote(derivation.builder),
    quoteAll(derivation.arguments),
    `[${environment.join(',')}]`,
  ];
  return Buffer.from(`Derive(${parts.join(',')})`, 'latin1');
}

/** The bytes of a string of a derivation. */
export function derivationBytes(value: string): Buffer {
  return Buffer.from(encode(value), 'latin1');
}

class Reader {
  readonly #text: string;
  #position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  expect(what: string): void {
    if (!this.#text.startsWith(what, this.#position)) this.fail(`'${what}' is missing`);
    this.#position += what.length;
  }

  end(): void {
    if (this.#position !== this.#text.length) this.fail('the derivation does not end');
  }

  list(element: () => void): void {
    this.expect('[');
    if (this.#skip(']')) return;
    do element();
    while (this.#skip(','));
    this.expect(']');
  }

  strings(): string[] {
    const values: string[] = [];
    this.list(() => void values.push(this.string()));
    return values;
  }

  tuple4(): [string, string, string, string] {
    this.expect('(');
    const first = this.string();
    this.expect(',');
    const second = this.string();
    this.expect(',');
    const third = this.string();
    this.expect(',');
    const fourth = this.string();
    this.expect(')');
    return [first, second, third, fourth];
  }

  string(): string {
    this.expect('"');
    const start = this.#position;
    for (;;) {
      const quoteAt = this.#text.indexOf('"', this.#position);
      if (quoteAt < 0) return this.fail('a string does not end');
      this.#position = quoteAt + 1;
      if (!this.#escaped(quoteAt, start)) return decode(unescaped(this.#text.slice(start, quoteAt)));
    }
  }

  /** Whether an odd number of backslashes stands right before. */
  #escaped(position: number, start: number): boolean {
    let before = position;
    while (before > start && this.#text.charCodeAt(before - 1) === 0x5c) before--;
    return (position - before) % 2 === 1;
  }

  #skip(character: string): boolean {
    if (this.#text[this.#position] !== character) return false;
    this.#position++;
    return true;
  }

  fail(message: string): never {
    throw new DerivationSyntaxError(message, this.#position);
  }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

function unescaped(raw: string): string {
  return raw.includes('\\')
    ? raw.replace(/\\(.)/gs, (_, character: string) => escapes[character] ?? character)
    : raw;
}

/** Characters that UTF-8 would need more than one byte for. */
const notAscii = /[^\0-\x7f]/;
/** With the `u` flag, halves of pairs do not match. */
const loneSurrogate = /[\udc80-\udcff]/u;
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Text from one character a byte. */
function decode(latin1: string): string {
  if (!notAscii.test(latin1)) return latin1;
  try {
    return strictUtf8.decode(Buffer.from(latin1, 'latin1'));
  } catch {
    return latin1.replace(/[\x80-\xff]/g, (byte) => String.fromCharCode(0xdc00 + byte.charCodeAt(0)));
  }
}

/** One character a byte, from what `decode` returns. */
function encode(value: string): string {
  if (!notAscii.test(value)) return value;
  return loneSurrogate.test(value)
    ? value.replace(/[\udc80-\udcff]/g, (byte) => String.fromCharCode(byte.charCodeAt(0) - 0xdc00))
    : Buffer.from(value, 'utf8').toString('latin1');
}

const quoted: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function quote(value: string | undefined): string {
  return `"${encode(value ?? '').replace(/["\\\n\r\t]/g, (character) => quoted[character] ?? character)}"`;
}

function quoteAll(values: readonly string[]): string {
  return `[${values.map(quote).join(',')}]`;
}
