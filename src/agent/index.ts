export { type AgentOptions, runAgent } from './agent.ts';
export { type AgentClient, type ConnectionOptions, connectToServer } from './connection.ts';
export { type NixWorkshopOptions, openNixWorkshop } from './nix-workshop.ts';
export { createProxiedFetch } from './proxied-fetch.ts';
export type { BuildWatcher, WorkOrder, Workshop } from './workshop.ts';
