import { type Child, killGroup, startProcess } from '../../basics/index.ts';
import type { CommandLine } from './command-line.ts';

/** How an evaluator process ended. */
export interface ProcessEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Set when the process could not be started. */
  readonly startError?: NodeJS.ErrnoException;
}

export interface EvaluatorProcess {
  readonly child: Child;
  readonly ended: Promise<ProcessEnd>;
  /** Ends the process and all it started. */
  kill(): void;
}

/**
 * Milliseconds between asking and forcing an evaluator that is not contained. Nix that is killed
 * outright leaves the builder of an import from derivation running; asked to end, it mostly ends it.
 */
const graceMs = 3000;

/** Starts an evaluator; the caller writes its standard input. It is ended when the signal aborts. */
export function startEvaluator(command: CommandLine, signal: AbortSignal): EvaluatorProcess {
  const child = startProcess(command.file, command.args, { cwd: command.cwd, env: command.env });
  let closed = false;
  const end = () => {
    if (closed) return;
    if (command.contained) return killGroup(child);
    killGroup(child, 'SIGTERM');
    const force = setTimeout(() => killGroup(child), graceMs);
    child.once('close', () => clearTimeout(force));
  };
  const ended = new Promise<ProcessEnd>((resolve) => {
    child.once('error', (startError: NodeJS.ErrnoException) =>
      resolve({ exitCode: null, signal: null, startError }),
    );
    child.once('close', (exitCode, endSignal) => {
      closed = true;
      signal.removeEventListener('abort', end);
      resolve({ exitCode, signal: endSignal });
    });
  });
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  return { child, ended, kill: end };
}

/** Statuses with which bubblewrap and shells pass on that a signal ended what they started. */
const passedOn: Readonly<Record<number, NodeJS.Signals>> = {
  134: 'SIGABRT',
  137: 'SIGKILL',
  139: 'SIGSEGV',
  143: 'SIGTERM',
};

/** What to say of a process that ended without words of its own; undefined for a good end. */
export function describeEnd(end: ProcessEnd, memoryMegabytes: number): string | undefined {
  if (end.startError) return `The evaluator could not be started: ${end.startError.message}`;
  const signal = end.signal ?? passedOn[end.exitCode ?? 0];
  if (signal === 'SIGKILL' || signal === 'SIGABRT') {
    return `The evaluator was killed (${signal}), most likely because it needed more than the ${memoryMegabytes} MB of memory it may use (evaluation.memory).`;
  }
  if (signal !== undefined) return `The evaluator was ended by ${signal}.`;
  return end.exitCode === 0
    ? undefined
    : `The evaluator ended with exit status ${end.exitCode} and no message.`;
}
