/** The command line in the process of a test, between streams of its own. */
import { PassThrough } from 'node:stream';
import { runCommandLine } from './command-line.ts';

/** Starts the program with this environment and nothing else. */
export function startCommandLine(args: readonly string[], env: Readonly<Record<string, string>>) {
  const [stdout, stderr] = [collect(), collect()];
  const status = runCommandLine(args, {
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: { ...env, NO_COLOR: '1' },
    cwd: () => '/',
    on: () => undefined,
    off: () => undefined,
    exit: (code) => {
      throw new Error(`exit ${code}`);
    },
  });
  return { status, stdout: stdout.text, stderr: stderr.text };
}

/** As {@link startCommandLine}, to its end. */
export async function runInProcess(args: readonly string[], env: Readonly<Record<string, string>>) {
  const running = startCommandLine(args, env);
  const status = await running.status;
  return { status, stdout: running.stdout(), stderr: running.stderr() };
}

function collect() {
  // Not a terminal; the program asks for nothing else that a pipe lacks.
  const stream: NodeJS.WriteStream = Object.setPrototypeOf(new PassThrough(), PassThrough.prototype);
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  return { stream, text: () => text };
}
