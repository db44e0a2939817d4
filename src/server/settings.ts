/** What a server is told when it starts. */
import type { Config } from '../basics/config/index.ts';
import type { ServerSetup } from './setup.ts';

export interface ServerSettings {
  /** Offered while there is no GitHub App, and until the new one has been heard. */
  readonly setup?: ServerSetup;
  readonly config: Config;
  /** Of this process; children get what they need of it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Aborted when the server is to end while it still starts. */
  readonly signal?: AbortSignal;
  readonly version: { readonly version: string; readonly commit?: string };
}

/** How long a stopping server waits for evaluations and builds under way. */
export const drainMs = 30_000;
