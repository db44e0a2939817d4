/** Headers of every answer, and the few things done to bodies on their way out. */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { FastifyInstance } from 'fastify';

const compress = promisify(gzip);

/** Nothing but what comes from this server. `formsTo`: another origin that forms may be sent to. */
export function contentSecurityPolicy({ formsTo }: { readonly formsTo?: string } = {}): string {
  return [
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    `form-action 'self'${formsTo === undefined ? '' : ` ${formsTo}`}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

const strictPolicy = contentSecurityPolicy();

/** Smaller bodies gain nothing from compression. */
const compressFromBytes = 2_048;
const compressible = /^(?:text\/(?!event-stream)|application\/(?:problem\+)?json|image\/svg)/;

/** A request id from outside is taken over when it is harmless to log and to echo. */
export function acceptableRequestId(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && /^[\w.:/+=-]{1,128}$/.test(header) ? header : undefined;
}

/** What every answer has, whatever it is. */
export function commonHeaders(requestId: string) {
  return {
    'content-security-policy': strictPolicy,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    'x-request-id': requestId,
  };
}

/** Adds the headers, entity tags for small JSON answers, and compression. */
export function registerHeaders(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(commonHeaders(request.id));
  });

  app.addHook('onSend', async (request, reply, payload) => {
    const type = String(reply.getHeader('content-type') ?? '');
    if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) return payload;
    if (type.startsWith('application/json') && request.method === 'GET' && reply.statusCode === 200) {
      const etag = `W/"${createHash('sha256').update(payload).digest('base64url').slice(0, 22)}"`;
      reply.header('etag', etag);
      if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-cache');
      if (request.headers['if-none-match'] === etag) {
        reply.code(304);
        return null;
      }
    }
    if (!compressible.test(type) || reply.hasHeader('content-encoding')) return payload;
    reply.header('vary', 'accept-encoding');
    if (payload.length < compressFromBytes || !accepts(request.headers['accept-encoding'])) return payload;
    reply.header('content-encoding', 'gzip').removeHeader('content-length');
    return compress(payload, { level: 4 });
  });
}

function accepts(encodings: string | string[] | undefined): boolean {
  return /\bgzip\b(?!;q=0(?:\.0*)?(?:,|$))/.test(String(encodings ?? ''));
}
