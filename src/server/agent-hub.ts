/** The agents of this process, put together from its database, its store and its scheduler. */
import type { Logger } from '../basics/index.ts';
import {
  type AgentHub,
  type AgentHubOptions,
  type BuilderFleet,
  createAgentHub,
  createAgentStore,
} from '../builders/index.ts';
import { renewLeases } from '../builds/index.ts';
import { type NixStore, openLocalStore } from '../nix/index.ts';
import type { Database } from '../postgres/index.ts';
import type { WorkingNix } from './nix-machine.ts';
import type { ServerSettings } from './settings.ts';

/** Between the heartbeats that agents are asked for. */
const heartbeatSeconds = 10;

export interface ServerAgentsOptions {
  readonly settings: ServerSettings;
  readonly database: Database;
  readonly processId: number;
  readonly fleet: BuilderFleet;
  /** Rejects while Nix is missing here: then nothing can be sent to agents either. */
  readonly nix: () => Promise<WorkingNix>;
  readonly adopt: AgentHubOptions['adopt'];
  readonly log: Logger;
}

export function openAgentHub(options: ServerAgentsOptions): AgentHub {
  const { database, processId, fleet, adopt, log } = options;
  const { builds } = options.settings.config;
  const db = database.knex;
  let store: NixStore | undefined;
  const hub = createAgentHub({
    db,
    processId,
    fleet,
    store: createAgentStore(async () => {
      const { nix } = await options.nix();
      // A daemon process remembers for an hour what was absent, and the cache adds what agents upload.
      const overrides = { 'narinfo-cache-negative-ttl': '0' };
      store ??= openLocalStore({ nix, logger: log, name: 'agents', overrides });
      return { store, layout: nix.layout };
    }),
    maxLogBytes: builds.logLimit,
    leaseSeconds: builds.agentLease,
    heartbeatSeconds,
    pressureLimit: builds.psiThreshold,
    renewLeases: (attemptIds) => renewLeases(db, attemptIds),
    adopt,
    log,
  });
  return {
    ...hub,
    async close() {
      await hub.close();
      await store?.close();
    },
  };
}
