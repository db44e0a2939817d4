import type { Readable } from 'node:stream';

export interface Line {
  readonly text: string;
  /** The line was longer than the limit; the rest of it is gone. */
  readonly cut: boolean;
}

const newline = 0x0a;

/**
 * The lines of a stream, the last one also when it has no newline. At most `maxBytes` of a line are
 * held in memory, however long it is. Splitting is done on bytes, so no character is torn.
 */
export async function* readLines(stream: Readable, maxBytes: number): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let size = 0;
  let cut = false;
  const take = (piece: Buffer) => {
    const kept = piece.subarray(0, maxBytes - size);
    if (kept.length < piece.length) cut = true;
    if (kept.length > 0) parts.push(kept);
    size += kept.length;
  };
  const finish = (): Line => {
    const line = { text: Buffer.concat(parts, size).toString('utf8'), cut };
    parts = [];
    size = 0;
    cut = false;
    return line;
  };
  for await (const chunk of stream) {
    const bytes: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk);
    let start = 0;
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
      // Most lines lie whole in one chunk, and need no copy.
      if (size === 0 && end - start <= maxBytes) {
        yield { text: bytes.toString('utf8', start, end), cut: false };
      } else {
        take(bytes.subarray(start, end));
        yield finish();
      }
      start = end + 1;
    }
    take(bytes.subarray(start));
  }
  if (size > 0 || cut) yield finish();
}
