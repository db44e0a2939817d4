/**
 * Clients may hand over a path with its archive and say what it is called. Whoever serves clients that
 * nobody vouches for does not take their word: the store is given the content, and names it itself.
 */
import type { PathInfo } from './path-operations.ts';
import type { AddedTree } from './serve-service.ts';
import { encode, ProtocolError } from './wire.ts';

/** A path as a client wants it to be. */
export interface ClaimedPath {
  readonly path: string;
  readonly info: PathInfo;
}

/** The same as content to be named, or undefined when its name does not follow from its content. */
export function treeOfClaim(
  { path, info }: ClaimedPath,
  archive: AsyncIterable<Buffer>,
): AddedTree | undefined {
  const [, method, flat] =
    /^((?:fixed:r:|(fixed:|text:))[a-z0-9]+):[a-z0-9]+$/.exec(info.contentAddress ?? '') ?? [];
  if (method === undefined) return undefined;
  const fileName = path.slice(path.lastIndexOf('/') + 34);
  const references = [...info.references];
  return { fileName, method, references, content: flat === undefined ? archive : fileIn(archive) };
}

/** How the archive of a file that is not executable begins; its length follows. */
const beginning = encode('nix-archive-1', '(', 'type', 'regular', 'contents');

/** The content of the one file in an archive. */
async function* fileIn(archive: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const headerBytes = beginning.length + 8;
  let header = Buffer.alloc(0);
  let left: number | undefined;
  for await (const chunk of archive) {
    let content = chunk;
    if (left === undefined) {
      header = Buffer.concat([header, chunk]);
      if (header.length < headerBytes) continue;
      left = contentLength(header);
      content = header.subarray(headerBytes);
    }
    if (left === 0 || content.length === 0) continue;
    const part = content.subarray(0, Math.min(left, content.length));
    left -= part.length;
    yield part;
  }
  if (left !== 0) throw new ProtocolError('an archive ends in the middle of its file');
}

function contentLength(header: Buffer): number {
  const length = header.readBigUInt64LE(beginning.length);
  if (!header.subarray(0, beginning.length).equals(beginning)) {
    throw new ProtocolError('an archive is not that of one file');
  }
  if (length > BigInt(Number.MAX_SAFE_INTEGER)) throw new ProtocolError('a file is too large', 'limit');
  return Number(length);
}
