/** Names a text as a daemon does that adds it. */
import { createHash } from 'node:crypto';
import { textStorePath } from '../store-path.ts';
import { textAddress, textNar } from './add-texts.ts';
import type { StoredPath } from './serve-service.ts';

/** What a daemon would answer if the text were added. */
export function describeText(
  storeDir: string,
  fileName: string,
  content: Buffer,
  references: readonly string[],
): StoredPath {
  const hash = createHash('sha256').update(content).digest();
  const nar = textNar(content);
  return {
    path: textStorePath(storeDir, fileName, hash.toString('hex'), references),
    info: {
      deriver: undefined,
      narHash: createHash('sha256').update(nar).digest('hex'),
      narBytes: nar.length,
      references: new Set(references),
      registeredAt: new Date(0),
      ultimate: false,
      signatures: new Set(),
      contentAddress: textAddress(hash),
    },
  };
}
