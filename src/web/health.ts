import type { FastifyInstance } from 'fastify';
import { messageOf } from '../basics/index.ts';
import type { HealthCheck, WebServerOptions } from './options.ts';

/** A check that hangs is a check that fails, after so many milliseconds. */
const checkTimeoutMs = 5_000;

interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
  readonly message?: string;
}

/** `/healthz` (the process lives), `/readyz` (send it traffic), `/metrics` and `/version`. */
export function registerHealth(app: FastifyInstance, options: WebServerOptions): void {
  const { health, metrics, version } = options;

  app.get('/healthz', async (_request, reply) => {
    reply.header('cache-control', 'no-store');
    return { status: 'ok' };
  });

  app.get('/readyz', async (_request, reply) => {
    const draining = health.draining();
    const checks = await Promise.all(health.checks.map(runCheck));
    const ready = !draining && checks.every((check) => check.ok);
    reply.code(ready ? 200 : 503).header('cache-control', 'no-store');
    if (!ready) reply.header('retry-after', '5');
    return { status: ready ? 'ready' : draining ? 'draining' : 'not-ready', checks };
  });

  app.get('/metrics', async (_request, reply) => {
    reply.header('content-type', metrics.contentType).header('cache-control', 'no-store');
    return metrics.metrics();
  });

  app.get('/version', async () => ({ ...version, node: process.version }));
}

async function runCheck({ name, check }: HealthCheck): Promise<CheckResult> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('did not answer in time')), checkTimeoutMs);
  });
  try {
    await Promise.race([check(), late]);
    return { name, ok: true };
  } catch (error) {
    return { name, ok: false, message: messageOf(error) };
  } finally {
    clearTimeout(timer);
  }
}
