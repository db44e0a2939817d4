/** Agents on the main HTTP port: Connect below /agent, behind their tokens. */
import { fastifyConnectPlugin } from '@connectrpc/connect-fastify';
import type { FastifyInstance } from 'fastify';
import { AgentService, agentPath } from '../agent-protocol/index.ts';
import type { Logger } from '../basics/index.ts';
import { type AgentHub, loadAgentService } from '../builders/index.ts';
import { type RequestLimits, readAgentRequest } from './agent-requests.ts';

/** More than a registration with a thousand attempts, or the largest piece of a log. */
const limits: RequestLimits = { maxBytes: 1024 * 1024, maxSeconds: 30 };
const methods = new Map(
  AgentService.methods.map((method) => [`${agentPath}/${AgentService.typeName}/${method.name}`, method]),
);

/** Registers the service. The hub's streams end when the server closes, before it waits for requests. */
export async function mountAgents(
  app: FastifyInstance,
  hub: () => AgentHub | undefined,
  log: Logger,
): Promise<void> {
  const createAgentService = await loadAgentService();
  app.addHook('preClose', async () => hub()?.close());
  await app.register(async (scope) => {
    scope.addHook('preHandler', (request, reply) =>
      readAgentRequest(request, reply, methods.get(request.routeOptions.url ?? ''), limits),
    );
    await scope.register(fastifyConnectPlugin, {
      prefix: agentPath,
      grpc: false,
      grpcWeb: false,
      readMaxBytes: limits.maxBytes,
      // Small messages; and what is not unpacked cannot be larger than it looks.
      acceptCompression: [],
      routes: (router) => {
        router.service(AgentService, createAgentService(hub, log));
      },
    });
  });
}
