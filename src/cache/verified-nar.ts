/** Holding the bytes of a NAR against what they were said to be. */
import { createHash } from 'node:crypto';
import type { PathInfo } from '../nix/index.ts';
import { createNarReader, NarError } from './nar-reader.ts';

/** The bytes are something else than was claimed. */
export class NarMismatch extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NarMismatch';
  }
}

/**
 * Passes a NAR on, and fails before its last bytes unless size, SHA-256 and format are right. So
 * whoever reads it never has all of a wrong one. Throws NarMismatches.
 */
export async function* verifiedNar(
  source: AsyncIterable<Buffer>,
  expected: Pick<PathInfo, 'narHash' | 'narBytes'>,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  const reader = createNarReader();
  let size = 0;
  let held: Buffer | undefined;
  try {
    for await (const chunk of source) {
      if (chunk.length === 0) continue;
      size += chunk.length;
      if (size > expected.narBytes)
        throw new NarMismatch(`the NAR is larger than ${expected.narBytes} bytes`);
      hash.update(chunk);
      reader.push(chunk);
      if (held !== undefined) yield held;
      held = chunk;
    }
    reader.end();
  } catch (error) {
    throw error instanceof NarError ? new NarMismatch(error.message) : error;
  }
  if (size < expected.narBytes) {
    throw new NarMismatch(`the NAR has ${size} bytes instead of ${expected.narBytes}`);
  }
  const found = hash.digest('hex');
  if (found !== expected.narHash) {
    throw new NarMismatch(`the NAR has the SHA-256 ${found} instead of ${expected.narHash}`);
  }
  if (held !== undefined) yield held;
}
