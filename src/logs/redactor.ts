/**
 * Takes secrets out of a stream of bytes, however it is cut into pieces.
 *
 * What is taken out of a secret of several lines is each of its lines, so no pattern holds a line end,
 * and everything up to a line end can go on at once. Besides the words themselves, their base64 (at
 * any of the three offsets it can start at), URL-encoded and JSON-escaped forms are taken out.
 */

/** Shorter words are in every log by chance. */
const shortestSecret = 6;
export const redacted = Buffer.from('***');
const newline = 0x0a;

export interface Redactor {
  /** What of the stream so far can go on. */
  push(bytes: Buffer): Buffer;
  /** The rest; the stream is over. */
  end(): Buffer;
}

/** A search for secrets, to be made once and used for any number of streams. */
export interface Secrets {
  open(): Redactor;
  /** For a piece that is whole, such as a line. */
  redact(bytes: Buffer): Buffer;
}

/** Knows these secrets from now on. */
export function secretsOf(values: readonly string[]): Secrets {
  const patterns = patternsOf(values);
  const longest = Math.max(0, ...patterns.map((pattern) => pattern.length));
  // Longest first: at one place, the longest that fits is found.
  const search = patterns.toSorted((a, b) => b.length - a.length).map(escapeForSearch);
  const source = search.length === 0 ? undefined : `(?=(${search.join('|')}))`;
  const open = () => (source === undefined ? passing() : redacting(source, longest));
  return {
    open,
    redact(bytes) {
      if (source === undefined) return bytes;
      const redactor = open();
      return Buffer.concat([redactor.push(bytes), redactor.end()]);
    },
  };
}

function passing(): Redactor {
  return { push: (bytes) => bytes, end: () => Buffer.alloc(0) };
}

function redacting(source: string, longest: number): Redactor {
  let held = Buffer.alloc(0);
  /** Bytes at the beginning of `held` that belong to a secret that began before it. */
  let covered = 0;

  /** Lets go of the first `count` held bytes; secrets that begin in them are known whole. */
  function release(count: number): Buffer {
    const text = held.toString('latin1');
    const parts: Buffer[] = [];
    let at = 0;
    let hiddenUntil = covered;
    const keep = (until: number) => {
      const from = Math.max(at, Math.min(hiddenUntil, until));
      if (from < until) parts.push(held.subarray(from, until));
      at = until;
    };
    for (const match of text.matchAll(new RegExp(source, 'g'))) {
      const end = match.index + (match[1]?.length ?? 0);
      if (match.index >= count) break;
      if (match.index >= hiddenUntil) {
        keep(match.index);
        parts.push(redacted);
      }
      hiddenUntil = Math.max(hiddenUntil, end);
    }
    keep(count);
    covered = Math.max(0, hiddenUntil - count);
    held = Buffer.from(held.subarray(count));
    return Buffer.concat(parts);
  }

  return {
    push(bytes) {
      held = Buffer.concat([held, bytes]);
      const lineEnd = held.lastIndexOf(newline) + 1;
      const known = held.length - longest + 1;
      return release(Math.max(0, lineEnd, known));
    },
    end: () => release(held.length),
  };
}

/** All that is looked for, as strings of bytes. */
function patternsOf(values: readonly string[]): readonly string[] {
  const lines = values
    .flatMap((value) => value.split(/\r?\n/))
    .map((line) => line.trim())
    // The first and last line of a key in PEM form are no secret.
    .filter((line) => Buffer.byteLength(line) >= shortestSecret && !line.startsWith('-----'));
  const forms = lines.flatMap((line) => [
    line,
    encodeURIComponent(Buffer.from(line).toString('utf8')),
    JSON.stringify(line).slice(1, -1),
    ...base64Forms(line),
  ]);
  const bytes = forms.map((form) => Buffer.from(form).toString('latin1'));
  return [...new Set(bytes)].filter((form) => form.length >= shortestSecret);
}

/** What of a word's base64 does not depend on its neighbours, for each place it can begin at. */
function base64Forms(word: string): readonly string[] {
  return [0, 1, 2].flatMap((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(word)]);
    const from = Math.ceil((before * 8) / 6);
    const until = Math.floor((bytes.length * 8) / 6);
    return [bytes.toString('base64').slice(from, until), bytes.toString('base64url').slice(from, until)];
  });
}

function escapeForSearch(pattern: string): string {
  return pattern.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
