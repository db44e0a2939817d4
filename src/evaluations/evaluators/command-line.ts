/**
 * How an evaluator process is started: the one place where its command line, environment and limits
 * are put together, so that whatever holds it in is added here and holds for both evaluators.
 */
import { delimiter, dirname } from 'node:path';
import { findOnPath, runProcess } from '../../basics/index.ts';
import { nameInJail } from './jail/jail-mounts.ts';

export interface EvaluatorProgram {
  readonly program: string;
  readonly arguments: readonly string[];
  /** Directory in which the program starts; private to the evaluation. */
  readonly directory: string;
  readonly memoryMegabytes: number;
  readonly containment: Containment;
}

/**
 * What keeps processes that an evaluator starts from outliving it. A builder of an import from
 * derivation leads a session of its own, so it survives the death of the evaluator and of its
 * process group; in a PID namespace the kernel ends it with the evaluator.
 */
export type Containment =
  /** Namespaces of all kinds. `command`: what stands before the program; the environment is the jail's. */
  | {
      readonly kind: 'jail';
      readonly command: readonly string[];
      readonly env: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: 'pid-namespace';
      readonly unshare: string;
      readonly env?: Readonly<Record<string, string>>;
    }
  /** `env`: variables that hold over those passed on, such as the way to the store. */
  | { readonly kind: 'process-group'; readonly env?: Readonly<Record<string, string>> };

export interface CommandLine {
  /** Whether the process may be killed outright without leaving anything behind. */
  readonly contained: boolean;
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Variables that reach an evaluator: where Nix, its store, its settings and the way out are.
 * Everything else of the server's environment stays outside.
 */
const passedVariables = [
  'HOME',
  'LANG',
  'TMPDIR',
  'XDG_CACHE_HOME',
  ...['NIX_CONFIG', 'NIX_CONF_DIR', 'NIX_USER_CONF_FILES'],
  ...['NIX_REMOTE', 'NIX_DAEMON_SOCKET_PATH', 'NIX_STORE_DIR', 'NIX_STATE_DIR', 'NIX_LOG_DIR'],
  ...['NIX_SSHOPTS', 'NIX_SSL_CERT_FILE', 'SSL_CERT_FILE'],
  ...['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'],
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'],
];

/** Puts the command line together. `env` is the environment made for Nix children. */
export function evaluatorCommandLine(
  wanted: EvaluatorProgram,
  env: Readonly<Record<string, string>>,
): CommandLine {
  if (wanted.containment.kind === 'jail') return jailedCommandLine(wanted, wanted.containment, env.PATH);
  const path = searchPath(wanted.program, env.PATH);
  const limited = withMemoryLimit(wanted, path);
  const passed = passedVariables.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...limited,
    contained: wanted.containment.kind !== 'process-group',
    cwd: wanted.directory,
    env: {
      HOME: wanted.directory,
      ...Object.fromEntries(passed),
      PATH: path,
      NIX_PATH: '',
      ...wanted.containment.env,
    },
  };
}

function jailedCommandLine(
  wanted: EvaluatorProgram,
  jail: Extract<Containment, { kind: 'jail' }>,
  outsidePath: string | undefined,
): CommandLine {
  const program = nameInJail(wanted.program);
  return {
    ...withMemoryLimit({ ...wanted, program }, outsidePath ?? ''),
    contained: true,
    cwd: '/',
    env: { ...jail.env, PATH: searchPath(program, jail.env.PATH) },
  };
}

/**
 * The program's own directory comes first: Nix starts its build hook as `nix` from PATH, and one of
 * another version breaks import from derivation.
 */
function searchPath(program: string, inherited: string | undefined): string {
  const rest = inherited ?? '/usr/bin:/bin';
  return program.includes('/') ? `${dirname(program)}${delimiter}${rest}` : rest;
}

/**
 * Limits the address space of the process and of each of its children, and writes no core files.
 * prlimit is part of util-linux; where it is missing (macOS), the shell's ulimit does the same.
 */
function withMemoryLimit(wanted: EvaluatorProgram, path: string): Pick<CommandLine, 'file' | 'args'> {
  const command = [...containmentCommand(wanted.containment), wanted.program, ...wanted.arguments];
  const prlimit = findOnPath('prlimit', path);
  if (prlimit !== undefined) {
    const limits = [`--as=${wanted.memoryMegabytes * 1024 * 1024}`, '--core=0'];
    return { file: prlimit, args: [...limits, '--', ...command] };
  }
  const script = 'ulimit -c 0; ulimit -v "$1" 2>/dev/null; shift; exec "$@"';
  const kilobytes = String(wanted.memoryMegabytes * 1024);
  return { file: '/bin/sh', args: ['-c', script, 'sh', kilobytes, ...command] };
}

function containmentCommand(containment: Containment): readonly string[] {
  if (containment.kind === 'jail') return containment.command;
  if (containment.kind === 'process-group') return [];
  // Nix writes /proc/<pid>/uid_map, so /proc has to be the namespace's own.
  return [containment.unshare, '--pid', '--fork', '--kill-child', '--mount-proc', '--'];
}

/** Tries whether this machine lets us have PID namespaces. It takes root, or a generous container. */
export async function probeContainment(path: string): Promise<Containment> {
  const unshare = findOnPath('unshare', path);
  const [program, ...args] =
    unshare === undefined
      ? []
      : [...containmentCommand({ kind: 'pid-namespace', unshare }), '/bin/sh', '-c', ':'];
  if (unshare === undefined || program === undefined) return { kind: 'process-group' };
  const { exitCode } = await runProcess(program, args, { env: { PATH: path }, timeoutMs: 10_000 });
  return exitCode === 0 ? { kind: 'pid-namespace', unshare } : { kind: 'process-group' };
}
