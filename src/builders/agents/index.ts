export type { AgentBuilder } from './agent-builder.ts';
export { type AgentHub, type AgentHubOptions, createAgentHub } from './hub.ts';
export { type AgentAllowance, agentAllowance, findAgentByToken, quarantineAgent } from './records.ts';
export { createAgentStore, type ServerNix } from './server-store.ts';
export { createAgentService } from './service.ts';
export { hashToken, newAgentToken, tokenOfHeader } from './token.ts';
export { type AgentStore, LyingUploadError, type PreparedDerivation } from './types.ts';
