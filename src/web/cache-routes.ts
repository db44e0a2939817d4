/** The binary cache on the main HTTP server. */
import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { CacheHandler } from '../cache/index.ts';

/** Hands everything below /cache on, bodies unread: NARs are not for a framework's parsers. */
export async function registerCache(app: FastifyInstance, handle: CacheHandler): Promise<void> {
  // NARs take as long as the slowest client: when the server ends, they are cut, and clients try again.
  const underWay = new Set<ServerResponse>();
  app.addHook('preClose', async () => {
    for (const response of underWay) response.destroy();
  });
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _body, done) => done(null));
    scope.route({
      method: ['GET', 'HEAD', 'PUT'],
      url: '/cache/*',
      schema: { hide: true },
      handler: async (request, reply) => {
        reply.hijack();
        reply.raw.setHeader('x-request-id', request.id);
        reply.raw.setHeader('x-content-type-options', 'nosniff');
        const path = request.url.slice('/cache/'.length).replace(/\?.*$/, '');
        underWay.add(reply.raw);
        reply.raw.once('close', () => underWay.delete(reply.raw));
        await handle(request.raw, reply.raw, path);
      },
    });
  });
}
