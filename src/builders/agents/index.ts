export type { AgentBuilder } from './agent-builder.ts';
export { type AgentHub, type AgentHubOptions, createAgentHub } from './hub.ts';
export { type AgentAllowance, agentAllowance, findAgentByToken, quarantineAgent } from './records.ts';
export { createAgentStore, type ServerNix } from './server-store.ts';
export { hashToken, newAgentToken, tokenOfHeader } from './token.ts';
export { type AgentStore, LyingUploadError, type PreparedDerivation } from './types.ts';

/** The service of agents, loaded with its protocol when it is asked for: most commands never need it. */
export async function loadAgentService() {
  const { createAgentService } = await import('./service.ts');
  return createAgentService;
}
