/** Writing answers on plain HTTP requests and responses of Node. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Bytes } from '../compression.ts';
import { Refusal } from './refusal.ts';

export type Headers = Readonly<Record<string, string | number>>;

/** A short answer. HEAD gets its headers alone. */
export function answer(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: Buffer | string,
  headers: Headers = {},
): void {
  const size = Buffer.byteLength(body);
  response.writeHead(status, { 'content-type': 'text/plain', 'content-length': size, ...headers });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** A long answer. Once begun it can only be cut, which its reader notices. */
export async function answerBytes(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: () => Bytes,
  headers: Headers,
): Promise<void> {
  if (request.method === 'HEAD') {
    response.writeHead(200, headers);
    response.end();
    return;
  }
  // The first bytes before the headers: what cannot be read at all is answered as an error.
  const iterator = bytes()[Symbol.asyncIterator]();
  try {
    const first = await iterator.next();
    response.writeHead(200, headers);
    if (first.done) {
      response.end();
      return;
    }
    const rest = async function* () {
      yield first.value;
      yield* { [Symbol.asyncIterator]: () => iterator };
    };
    await pipeline(Readable.from(rest(), { objectMode: false }), response);
  } finally {
    // A client that left before the first byte never had the rest begun, nor ended.
    await iterator.return?.();
  }
}

/** Says no. A body that is still coming is not worth waiting for. */
export function refuse(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  const headers: Record<string, string> = { 'cache-control': 'no-store' };
  if (refusal.status === 401) headers['www-authenticate'] = 'Basic realm="binary cache", charset="UTF-8"';
  if (refusal.status === 503) headers['retry-after'] = '5';
  if (!request.complete && request.method === 'PUT') headers.connection = 'close';
  answer(request, response, refusal.status, `${refusal.message}\n`, headers);
}

/** The whole body as text. */
export async function textOf(request: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of bytesOf(request)) {
    size += chunk.length;
    if (size > maxBytes) throw new Refusal(413, `more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The body; ends with an error when the client goes away in the middle of it. */
export async function* bytesOf(request: IncomingMessage): Bytes {
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    if (Buffer.isBuffer(chunk)) yield chunk;
  }
  if (!request.complete) throw new Refusal(400, 'the upload was cut short');
}
