/**
 * Reading bodies of webhooks. Until a body is whole nobody knows who sent it, so what all of them hold
 * together is bounded: anybody can send large ones, and many at a time.
 */
import type { Readable } from 'node:stream';

/** GitHub's own cap for payloads. */
export const largestBody = 25 * 1024 * 1024;
/** Nearly all of GitHub's are smaller; these are read however much else is under way. */
const smallBytes = 1024 * 1024;
/** What bodies that are being read or worked on may hold together before a large one is refused. */
const defaultMostInAll = 64 * 1024 * 1024;

export class BodyRefused extends Error {
  readonly statusCode: 413 | 503;

  constructor(statusCode: 413 | 503, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

export interface HeldBody {
  readonly bytes: Buffer;
  /** To be called when nobody needs the bytes any more. */
  release(): void;
}

export interface BodyReader {
  /** Rejects with BodyRefused for a body that is too large, or too large for now. */
  read(stream: Readable, declaredBytes: number): Promise<HeldBody>;
}

/** One reader bounds all bodies that are read through it. */
export function createBodyReader(mostInAll: number = defaultMostInAll): BodyReader {
  let inAll = 0;
  return {
    async read(stream, declaredBytes) {
      let own = 0;
      const release = () => {
        inAll -= own;
        own = 0;
      };
      const chunks: Buffer[] = [];
      try {
        if (declaredBytes > largestBody) throw tooLarge();
        // Not destroyed when we stop reading: the refusal has to be sent on the same connection.
        for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
          const bytes = Buffer.from(chunk);
          chunks.push(bytes);
          own += bytes.length;
          inAll += bytes.length;
          if (own > largestBody) throw tooLarge();
          if (own > smallBytes && inAll > mostInAll) {
            throw new BodyRefused(503, 'Too many large bodies are being received.');
          }
        }
        return { bytes: Buffer.concat(chunks), release };
      } catch (error) {
        release();
        throw error;
      }
    },
  };
}

function tooLarge(): BodyRefused {
  return new BodyRefused(413, `The body is larger than ${largestBody} bytes.`);
}
