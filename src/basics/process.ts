/**
 * Running programs. The only place that starts child processes.
 *
 * Every child leads its own process group, and ending it ends the whole group: killing only the
 * direct child leaves grandchildren that hold its pipes open, and the caller waits for ever.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { OperatorError } from './errors.ts';

/** A child process with its three pipes. */
export type Child = ChildProcessByStdio<Writable, Readable, Readable>;

export interface SpawnOptions {
  readonly cwd?: string;
  /** The child's whole environment; nothing is inherited unless given here. */
  readonly env: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Runs the program as another user; only root can. Supplementary groups are dropped. */
  readonly user?: UserIds;
}

export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

export interface RunOptions extends SpawnOptions {
  readonly input?: string | Uint8Array;
  /** Milliseconds after which the process group is killed. */
  readonly timeoutMs?: number;
  /** Bytes kept of each stream; a process that prints more is killed. Default 64 MiB. */
  readonly maxOutputBytes?: number;
}

export interface RunResult {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly endedBy: 'itself' | 'timeout' | 'cancel' | 'output-limit';
}

/** Starts a program in its own process group. The caller reads its pipes and waits for `close`. */
export function startProcess(file: string, args: readonly string[], options: SpawnOptions): Child {
  const child = spawn(file, [...args], {
    cwd: options.cwd,
    env: { ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    ...options.user,
  });
  // A child that dies early makes writes to its stdin fail; its exit says more than EPIPE would.
  child.stdin.on('error', () => {});
  const abort = () => killGroup(child);
  options.signal?.addEventListener('abort', abort, { once: true });
  child.once('close', () => options.signal?.removeEventListener('abort', abort));
  if (options.signal?.aborted) abort();
  return child;
}

/** A program that outlives the one that started it. */
export interface Daemon {
  readonly pid: number;
  /** Resolves when it ends while this process is still there to see it. */
  readonly exited: Promise<void>;
}

/**
 * Starts a program that lives on when this process ends, and that does not keep this process alive.
 * Everything it prints goes to the open file `output`.
 */
export async function startDaemon(
  file: string,
  args: readonly string[],
  options: Omit<SpawnOptions, 'signal'> & { readonly output: number },
): Promise<Daemon> {
  const child = spawn(file, [...args], {
    cwd: options.cwd,
    env: { ...options.env },
    stdio: ['ignore', options.output, options.output],
    detached: true,
    ...options.user,
  });
  child.unref();
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => reject(startFailure(file, error)));
  });
  if (child.pid === undefined) throw new Error(`'${file}' was started without a process id`);
  return { pid: child.pid, exited };
}

/** Ends a child and everything it started. SIGKILL cannot be ignored; give SIGTERM to ask first. */
export function killGroup(child: Child, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone already.
  }
}

/** Runs a program to its end and returns what it printed. Does not throw for a non-zero exit. */
export async function runProcess(
  file: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  const child = startProcess(file, args, options);
  const limit = options.maxOutputBytes ?? 64 * 1024 * 1024;
  let endedBy: RunResult['endedBy'] = 'itself';
  const end = (reason: RunResult['endedBy']) => {
    if (endedBy === 'itself') endedBy = reason;
    killGroup(child);
  };
  const collect = (stream: Readable): Buffer[] => {
    const chunks: Buffer[] = [];
    let size = 0;
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limit) end('output-limit');
      else chunks.push(chunk);
    });
    return chunks;
  };
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const timer = options.timeoutMs ? setTimeout(() => end('timeout'), options.timeoutMs) : undefined;
  const onAbort = () => end('cancel');
  options.signal?.addEventListener('abort', onAbort, { once: true });
  child.stdin.end(options.input);
  try {
    const [exitCode, signal] = await new Promise<[number | null, NodeJS.Signals | null]>(
      (resolve, reject) => {
        child.once('error', (error: NodeJS.ErrnoException) => reject(startFailure(file, error)));
        child.once('close', (code, sig) => resolve([code, sig]));
      },
    );
    return { exitCode, signal, stdout: text(stdout), stderr: text(stderr), endedBy };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
  }
}

/** The error for a program that could not be started at all. */
export function startFailure(file: string, error: NodeJS.ErrnoException): OperatorError {
  return new OperatorError({
    code: error.code === 'ENOENT' ? 'program-missing' : 'program-not-started',
    message:
      error.code === 'ENOENT'
        ? `The program '${file}' was not found.`
        : `The program '${file}' could not be started: ${error.message}`,
    hint: `Install it or put it on PATH. 'ringmaster doctor' lists what is missing.`,
    exitStatus: 3,
    cause: error,
  });
}

function text(chunks: Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8');
}
