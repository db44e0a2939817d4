/** Adding texts, such as `.drv` files, many in one operation. */
import { hash } from 'node:crypto';
import { nixBase32 } from '../store-path.ts';
import type { Operation } from './operations.ts';
import { encode, type Part } from './wire.ts';

/** A file that is named by its content. */
export interface StoreText {
  readonly path: string;
  readonly content: Buffer;
  readonly references: readonly string[];
}

/** Makes texts valid; each one's references must be valid or come before it. */
export function addTexts(texts: readonly StoreText[]): Operation<void> {
  const repair = false;
  // Contents prove themselves; there are no signatures.
  const uncheckedSignatures = false;
  const frames = inFrames([encode(texts.length), ...texts.flatMap(textEntry)]);
  const end = 0;
  return {
    name: 'AddMultipleToStore',
    code: 44,
    parameters: [repair, uncheckedSignatures, ...frames, end],
    reply: function* () {},
  };
}

/** Bytes of a frame. */
const frameBytes = 256 * 1024;

/** A frame is written as a string is, since everything in these streams is a multiple of eight bytes long. */
function inFrames(chunks: readonly Buffer[]): readonly Part[] {
  const frames: Buffer[] = [];
  let pending: Buffer[] = [];
  let size = 0;
  for (const chunk of chunks) {
    pending.push(chunk);
    size += chunk.length;
    if (size < frameBytes) continue;
    frames.push(Buffer.concat(pending));
    pending = [];
    size = 0;
  }
  if (size > 0) frames.push(Buffer.concat(pending));
  return frames;
}

function textEntry({ path, content, references }: StoreText): readonly Buffer[] {
  const nar = textNar(content);
  const narHash = hash('sha256', nar, 'hex');
  const deriver = '';
  const registeredAt = 0;
  const ultimate = false;
  const signatures: readonly string[] = [];
  const info = [
    ...[
      path,
      deriver,
      narHash,
      [...new Set(references)].sort(),
      registeredAt,
      nar.length,
      ultimate,
      signatures,
    ],
    textAddress(Buffer.from(hash('sha256', content, 'hex'), 'hex')),
  ];
  return [encode(...info), nar];
}

/** `text:sha256:<base 32>`, as path infos say it. */
export function textAddress(digest: Buffer): string {
  return `text:sha256:${nixBase32(digest)}`;
}

/** The archive of one file that is not executable. */
export function textNar(content: Buffer): Buffer {
  return encode('nix-archive-1', '(', 'type', 'regular', 'contents', content, ')');
}
