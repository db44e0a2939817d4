/** From arguments to an exit status: runs one command and says what went wrong, if anything did. */
import { CommanderError } from 'commander';
import { exitStatus, OperatorError } from '../basics/index.ts';
import { createContext, type Surroundings } from './context.ts';
import { watchForInterruption } from './interruption.ts';
import { createProgram, globalOptionsOf } from './program.ts';
import { createStyle, type Style } from './terminal/style.ts';
import { readVersion, versionLine } from './version.ts';

/** Runs the program with these arguments and returns its exit status once output is flushed. */
export async function runCommandLine(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const interruption = watchForInterruption(surroundings);
  let status: number = exitStatus.ok;
  const program = createProgram({
    version: versionLine(readVersion()),
    stdout: (text) => surroundings.stdout.write(text),
    stderr: (text) => surroundings.stderr.write(text),
    async perform(options, body) {
      status = await body(createContext(surroundings, options, interruption));
    },
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    const options = globalOptionsOf(program);
    const { stderr, env } = surroundings;
    const style = createStyle({ env, isTerminal: stderr.isTTY === true, colour: options.color });
    status = interruption.status() ?? report(error, style, options.verbose, (text) => stderr.write(text));
  } finally {
    interruption.release();
  }
  await Promise.all([flushed(surroundings.stdout), flushed(surroundings.stderr)]);
  return status;
}

/** Prints an error for the one who has to deal with it and returns the exit status it asks for. */
function report(error: unknown, style: Style, verbose: boolean, write: (text: string) => void): number {
  // commander has printed its message already; only help and version are no errors.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitStatus.ok : exitStatus.usage;
  if (error instanceof OperatorError) {
    write(`${style.paint('danger', 'error:')} ${error.message}\n`);
    if (error.hint !== undefined) write(`${style.paint('accent', 'hint:')} ${error.hint}\n`);
    if (verbose && error.cause !== undefined) write(`cause: ${inspect(error.cause)}\n`);
    return error.exitStatus;
  }
  write(`${style.paint('danger', 'error:')} ${inspect(error)}\n`);
  write(
    `${style.paint('accent', 'hint:')} This is a bug in Ringmaster (${versionLine(readVersion())}). ` +
      'Please report it with the lines above and what you did.\n',
  );
  return exitStatus.failed;
}

function inspect(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.errored) resolve();
    else stream.write('', () => resolve());
  });
}
