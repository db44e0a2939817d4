/** Names a text as a daemon does that adds it. */
import { createHash } from 'node:crypto';
import { textStorePath } from '../store-path.ts';
import { textAddress } from './add-texts.ts';
import type { StoredPath } from './serve-service.ts';
import { encode } from './wire.ts';

/** What a daemon would answer if the text were added. */
export function describeText(
  storeDir: string,
  fileName: string,
  content: Buffer,
  references: readonly string[],
): StoredPath {
  const hash = createHash('sha256').update(content).digest();
  return {
    path: textStorePath(storeDir, fileName, hash.toString('hex'), references),
    info: {
      deriver: undefined,
      ...textArchive(content),
      references: new Set(references),
      registeredAt: new Date(0),
      ultimate: false,
      signatures: new Set(),
      contentAddress: textAddress(hash),
    },
  };
}

const before = encode('nix-archive-1', '(', 'type', 'regular', 'contents');
const after = encode(')');
const zeros = Buffer.alloc(8);

/** Hash and size of the text's archive, without making it: there are tens of thousands. */
function textArchive(content: Buffer): { readonly narHash: string; readonly narBytes: number } {
  const padding = zeros.subarray(0, (8 - (content.length % 8)) % 8);
  const parts = [before, encode(content.length), content, padding, after];
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return { narHash: hash.digest('hex'), narBytes: parts.reduce((sum, part) => sum + part.length, 0) };
}
