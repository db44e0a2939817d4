import { randomUUID } from 'node:crypto';
import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { revisionChannel } from '../evaluations/index.ts';
import { logChannel } from '../logs/index.ts';
import { createAccess } from './api/access.ts';
import { registerApi } from './api/api.ts';
import { registerOpenApi } from './api/openapi.ts';
import { loadAssets, registerAssets } from './assets.ts';
import { registerBadges } from './badge-routes.ts';
import { registerCache } from './cache-routes.ts';
import { registerErrors } from './errors.ts';
import { acceptableRequestId, commonHeaders, registerHeaders } from './headers.ts';
import { registerHealth } from './health.ts';
import { createEventStreams } from './live/event-stream.ts';
import { createFanOut } from './live/fan-out.ts';
import type { WebServerOptions } from './options.ts';
import { registerPages } from './page-routes.ts';
import { problem, problemBody } from './problem.ts';
import type { Reader } from './read/reader.ts';
import { registerRequestMetrics } from './request-metrics.ts';
import { registerSetup } from './setup-routes.ts';

/** Milliseconds for a whole request; 25 MB of a webhook take a minute at 3.5 Mbit/s. */
const requestTimeoutMs = 60_000;
const notAnAddress = problem(400, 'bad-request', 'That is not an address of this server.');

/**
 * The HTTP server with everything registered: pages, API, health, metrics, live streams and what
 * the GitHub App serves. The caller listens and closes; closing ends the live streams first.
 */
export async function buildWebServer(options: WebServerOptions): Promise<FastifyInstance> {
  const { db, log, publicUrl, subscribe } = options;
  const logger: FastifyBaseLogger = log;
  const app = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: (request) => acceptableRequestId(request.headers['x-request-id']) ?? randomUUID(),
    routerOptions: { maxParamLength: 8_192 },
    // Uploads to the cache take as long as they take; for everything else, see below.
    requestTimeout: 0,
    http: { headersTimeout: requestTimeoutMs },
    // Addresses that no route can be asked about: nobody gets there from a page.
    frameworkErrors: (_error, request, reply) => {
      const type = 'application/problem+json; charset=utf-8';
      reply.hijack();
      reply.raw.writeHead(notAnAddress.statusCode, { ...commonHeaders(request.id), 'content-type': type });
      reply.raw.end(JSON.stringify(problemBody(notAnAddress, request.id)));
    },
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);

  const assets = await loadAssets();
  const reader: Reader = { db, showPrivate: options.privateProjects === 'visible' };
  const streams = createEventStreams();
  const revisions = createFanOut(subscribe, revisionChannel, log);
  const logs = createFanOut(subscribe, logChannel, log);
  app.addHook('preClose', async () => {
    streams.closeAll();
    revisions.close();
    logs.close();
  });

  limitRequestTime(app);
  registerHeaders(app);
  registerRequestMetrics(app, options.metrics);
  registerErrors(app, { assets: assets.paths, log });
  await registerOpenApi(app, options.version.version);
  registerAssets(app, assets);
  registerHealth(app, options);
  const { onRevisionChanged } = options;
  await registerApi(app, { access: createAccess(reader), publicUrl, streams, logs, onRevisionChanged });
  if (options.cache) await registerCache(app, options.cache);
  if (options.githubPlugin) await app.register(options.githubPlugin);
  registerBadges(app, reader);
  registerSetup(app, { assets: assets.paths, options });
  registerPages(app, { reader, streams, revisions, logs, assets: assets.paths, options });
  return app;
}

/** Clients that send a request byte by byte must not hold it open for ever. */
function limitRequestTime(app: FastifyInstance): void {
  app.addHook('onRequest', async ({ raw, url, method }) => {
    if (method === 'GET' || method === 'HEAD' || url.startsWith('/cache/')) return;
    const timer = setTimeout(() => raw.destroy(), requestTimeoutMs);
    timer.unref();
    raw.once('end', () => clearTimeout(timer)).once('close', () => clearTimeout(timer));
  });
}
