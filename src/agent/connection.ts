/** The way to the server: Connect over HTTP/1.1, through a proxy where the environment names one. */
import { type Client, createClient, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { AgentService, agentPath } from '../agent-protocol/index.ts';
import { httpAgentFor } from './proxy-agent.ts';

export type AgentClient = Client<typeof AgentService>;

export interface ConnectionOptions {
  /** The server's address, for example `https://ci.example.org`. */
  readonly server: string;
  readonly token: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Opens nothing yet: each call connects, or takes a connection that is kept alive. */
export function connectToServer({ server, token, environment }: ConnectionOptions): AgentClient {
  const authorize: Interceptor = (next) => (request) => {
    request.header.set('authorization', `Bearer ${token}`);
    return next(request);
  };
  const transport = createConnectTransport({
    httpVersion: '1.1',
    baseUrl: `${server.replace(/\/+$/, '')}${agentPath}`,
    useBinaryFormat: true,
    interceptors: [authorize],
    // An assignment holds one derivation; what is larger does not come from a server of ours.
    readMaxBytes: 64 * 1024 * 1024,
    nodeOptions: { agent: httpAgentFor(server, environment) },
  });
  return createClient(AgentService, transport);
}
