import type { Environment } from './environment.ts';

/** A value from the command line. */
export interface ConfigFlag {
  /** For example `server.port`. */
  readonly key: string;
  /** For example `--port`. */
  readonly name: string;
  /** Undefined when the flag was not given. */
  readonly value: unknown;
}

export interface ConfigRequest {
  readonly env: Environment;
  readonly workingDirectory: string;
  readonly flags?: readonly ConfigFlag[];
  /** Value of `--config`. */
  readonly configFile?: string | undefined;
  /** What defaults depend on; this machine's unless given. */
  readonly machine?: { readonly isRoot: boolean; readonly cores: number };
}
