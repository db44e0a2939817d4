export { announceRevision } from './revision-changes.ts';
export type { ServerSettings } from './settings.ts';
export { createServerSetup, type ServerSetup } from './setup.ts';
export { type RunningServer, startServer } from './start.ts';
