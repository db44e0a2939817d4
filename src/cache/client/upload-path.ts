/** Putting one path into a cache: its NAR, then the narinfo that makes it count. */
import { createHash } from 'node:crypto';
import { nixBase32, type PathEntry } from '../../nix/index.ts';
import type { Bytes, Transcoders } from '../compression.ts';
import { formatNarInfo, narInfoName } from '../nar-info.ts';
import type { CacheRequests } from './requests.ts';

/** Bytes of a NAR below which compressing costs more than it saves. */
const compressFromBytes = 32 * 1024;
/** Bytes of a NAR up to which it is kept until it has arrived, so that it can be sent again. */
const keptBytes = 16 * 1024 * 1024;

/** Rejects with an OperatorError when the cache does not take it. */
export async function uploadPath(
  requests: CacheRequests,
  transcoders: Transcoders,
  { path, info, nar }: PathEntry,
): Promise<void> {
  const compression = info.narBytes < compressFromBytes ? 'none' : 'zstd';
  const hash = createHash('sha256');
  let fileBytes = 0;
  const file = async function* (): Bytes {
    for await (const chunk of transcoders.compress(compression, nar)) {
      hash.update(chunk);
      fileBytes += chunk.length;
      yield chunk;
    }
  };
  const narHash = nixBase32(Buffer.from(info.narHash, 'hex'));
  const url = `nar/${narHash}.nar${compression === 'zstd' ? '.zst' : ''}`;
  const body = info.narBytes <= keptBytes ? await whole(file()) : file();
  const put = (address: string, content: Uint8Array<ArrayBuffer> | string | Bytes) =>
    requests.send(address, { method: 'PUT', body: content });
  for (let tries = 1; ; tries++) {
    await expectTaken(await put(url, body), `the NAR of ${path}`);
    const fileHash = hash.copy().digest('hex');
    const text = formatNarInfo({ path, url, compression, fileHash, fileBytes, info });
    const answer = await put(narInfoName(path), text);
    // A server that was restarted meanwhile has forgotten the NAR.
    const again = answer.status === 409 && body instanceof Uint8Array && tries === 1;
    if (!again) return expectTaken(answer, `the narinfo of ${path}`);
    await answer.body?.cancel();
  }

  async function expectTaken(response: Response, what: string): Promise<void> {
    if (!response.ok) throw await requests.unexpected(response, what);
    await response.body?.cancel();
  }
}

async function whole(bytes: Bytes): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}
