/**
 * Bodies of operations in frames: a length, that many bytes, and so on; a length of zero ends the
 * body. Unlike strings, frames are not padded.
 */

/** Bytes of a frame. What comes in smaller pieces is joined: each frame costs both sides a call. */
const frameBytes = 64 * 1024;

/** The frames of a body, without the one that ends it. */
export async function* frames(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pending: Buffer[] = [];
  let size = 0;
  const frame = () => {
    const header = Buffer.alloc(8);
    header.writeBigUInt64LE(BigInt(size));
    const whole = Buffer.concat([header, ...pending]);
    pending = [];
    size = 0;
    return whole;
  };
  for await (const chunk of body) {
    // An empty frame would end the body.
    if (chunk.length === 0) continue;
    pending.push(chunk);
    size += chunk.length;
    if (size >= frameBytes) yield frame();
  }
  if (size > 0) yield frame();
}

export const endOfFrames = Buffer.alloc(8);
