/** What every command gets besides its own arguments. */
import { createLogger, type Logger } from '../basics/index.ts';
import { createStyle, type Style } from './terminal/style.ts';

/** Options that every command understands. */
export interface GlobalOptions {
  /** `--config FILE`. */
  readonly config?: string;
  readonly verbose: boolean;
  readonly quiet: boolean;
  /** False after `--no-color`. */
  readonly color: boolean;
}

/** The process as the commands see it; `process` fits. */
export interface Surroundings {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
  cwd(): string;
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  exit(status: number): never;
}

export interface CommandContext {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  readonly options: GlobalOptions;
  readonly style: Style;
  /** Messages for people who look for causes: on stderr, errors only unless `--verbose`. */
  readonly log: Logger;
  /** Aborted by the first SIGINT or SIGTERM, and when nobody reads stdout any more. */
  readonly interruption: Interruption;
}

export interface Interruption {
  readonly signal: AbortSignal;
  /** 130, 143 or 141 (SIGPIPE) once interrupted, as a shell would report it. */
  status(): number | undefined;
  /** What the second signal does instead of ending the process. */
  onSecond(handler: () => void): void;
}

/** A command's work: gets the context, returns the exit status. */
export type CommandBody = (context: CommandContext) => Promise<number>;

/** Options of `serve` as given; what is absent comes from environment, file or default. */
export interface ServeFlags {
  readonly port?: number;
  readonly host?: string;
  readonly dataDir?: string;
  readonly roles?: string;
}

export function createContext(
  surroundings: Surroundings,
  options: GlobalOptions,
  interruption: Interruption,
): CommandContext {
  const { stdout, stderr, env } = surroundings;
  return {
    stdout,
    stderr,
    env,
    workingDirectory: surroundings.cwd(),
    options,
    style: createStyle({ env, isTerminal: stdout.isTTY === true, colour: options.color }),
    log: createLogger({
      level: options.verbose ? 'debug' : 'error',
      destination: stderr,
    }),
    interruption,
  };
}
