import type { FastifyInstance } from 'fastify';
import { Histogram, type Registry } from 'prom-client';

/**
 * Durations by route pattern, method and class of status: label sets stay bounded whatever is
 * asked for. Event streams are left out, since how long they last says nothing.
 */
export function registerRequestMetrics(app: FastifyInstance, registry: Registry): void {
  const name = 'ringmaster_http_request_duration_seconds';
  registry.removeSingleMetric(name);
  const durations = new Histogram({
    name,
    help: 'Time from the first byte of a request to the last byte of its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 1, 5],
    registers: [registry],
  });
  app.addHook('onResponse', async (request, reply) => {
    if (reply.getHeader('content-type')?.toString().startsWith('text/event-stream')) return;
    const labels = {
      method: knownMethods.has(request.method) ? request.method : 'other',
      route: request.routeOptions.url ?? 'none',
      status: `${Math.floor(reply.statusCode / 100)}xx`,
    };
    durations.observe(labels, reply.elapsedTime / 1000);
  });
}

const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
