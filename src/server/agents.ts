/** Agents on the main HTTP port: Connect below /agent, behind their tokens. */
import { fastifyConnectPlugin } from '@connectrpc/connect-fastify';
import type { FastifyInstance } from 'fastify';
import { AgentService, agentPath } from '../agent-protocol/index.ts';
import type { Logger } from '../basics/index.ts';
import { type AgentHub, createAgentService } from '../builders/index.ts';

/** More than a registration with a thousand attempts, or the largest piece of a log. */
const maxMessageBytes = 1024 * 1024;

/** Registers the service. The hub's streams end when the server closes, before it waits for requests. */
export async function mountAgents(
  app: FastifyInstance,
  hub: () => AgentHub | undefined,
  log: Logger,
): Promise<void> {
  app.addHook('preClose', async () => hub()?.close());
  await app.register(fastifyConnectPlugin, {
    prefix: agentPath,
    grpc: false,
    grpcWeb: false,
    readMaxBytes: maxMessageBytes,
    routes: (router) => {
      router.service(AgentService, createAgentService(hub, log));
    },
  });
}
