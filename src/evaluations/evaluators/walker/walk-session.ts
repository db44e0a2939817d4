/**
 * One process that walks a tree: `nix-instantiate`, which dies at the first attribute that fails, or
 * a `nix repl`, which prints the error, keeps all it has evaluated, and takes the next command.
 *
 * A command of a session is three lines: the walk from a cursor; `)`, which ends an input that the
 * repl believes unfinished (Nix 2.8 takes a syntax error "unexpected end of file" in an imported file
 * for one); and a trace that says that both are done.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Logger, messageOf } from '../../../basics/index.ts';
import { type Containment, evaluatorCommandLine } from '../command-line.ts';
import { findErrorText, stripAnsi } from '../error-text.ts';
import { describeEnd, type ProcessEnd, startEvaluator } from '../evaluator-process.ts';
import { collectLastWords } from '../last-words.ts';
import { readLines } from '../lines.ts';
import { nixIndices, nixString } from '../nix-literals.ts';
import { collectNotices } from '../notices.ts';
import { restrictionArguments } from '../restrictions.ts';
import type { Finding, WalkRequest } from '../walk.ts';
import { startWatchdog } from '../watchdog.ts';
import { type Cursor, walkFunction } from './walk-expression.ts';
import { type FoundJob, parseWalkRecord, type WalkRecord } from './walk-records.ts';

export interface WalkProcessOptions {
  /** The `nix-instantiate` to run. */
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  readonly allowedUris: readonly string[];
  readonly containment: Containment;
  readonly log: Logger;
}

/** Bytes of one line. A record holds an attribute path and two store paths; user traces may be anything. */
const maxLineBytes = 10 * 1024 * 1024;

/** How a process ended. */
export type SessionEnd =
  | { readonly kind: 'finished' }
  /** It died at an attribute; no finding when that had given its answer already. */
  | {
      readonly kind: 'died';
      readonly cursor: Cursor;
      readonly finding?: Finding;
      /** Of memory, which other attributes may have used up. */
      readonly outOfMemory: boolean;
    }
  /** A session failed at an attribute but did not print why. */
  | { readonly kind: 'unexplained'; readonly cursor: Cursor }
  /** It never got as far as the root. */
  | { readonly kind: 'never-started' };

/** The attribute that is being forced. */
type Entered = Pick<Extract<WalkRecord, { kind: 'entered' }>, 'path' | 'cursor' | 'position'>;

/** Walks behind a cursor in one new process. `repl`: the program of a session, else nix-instantiate. */
export async function* walkInProcess(
  options: WalkProcessOptions,
  request: WalkRequest,
  from: Cursor,
  repl?: string,
): AsyncGenerator<Finding, SessionEnd> {
  const { limits, nonce } = request;
  // A file, not input: a line editor echoes each character of what it reads, and does not take every one.
  const walkFile = join(request.directory, walkFileName);
  writeFileSync(walkFile, walkFunction(request));
  const restrictions = [
    ...restrictionArguments({ ...request, allowedUris: options.allowedUris }),
    ...['-I', `__ringmaster-walk=${walkFile}`],
  ];
  const command = evaluatorCommandLine(
    {
      ...(repl === undefined
        ? {
            program: options.program,
            arguments: ['--eval', '--read-write-mode', '--no-build-output', ...common, ...restrictions, '-'],
          }
        : { program: repl, arguments: ['repl', ...replFeatures, ...common, ...restrictions] }),
      directory: request.directory,
      memoryMegabytes: limits.memoryMegabytes,
      containment: options.containment,
    },
    options.env,
  );
  const evaluator = startEvaluator(command, request.signal);
  const { stdin, stdout, stderr } = evaluator.child;
  // Pure evaluation imports no file of ours.
  const walkText = request.flake ? `(${walkFunction(request)})` : `import ${nixString(walkFile)}`;
  const walk = `${walkText} ${nixString(nonce)}`;
  if (repl === undefined) stdin.end(`${walk} ${nixIndices(from)}`);
  else stdin.write(`${functionName} = ${walk}\n${sessionCommand(nonce, from)}`);
  // Values and echoes are of no interest, but a full pipe would stop the process.
  stdout.resume();
  let silent = false;
  const giveUp = () => {
    silent = true;
    evaluator.kill();
  };
  const watchdog = startWatchdog(limits.attributeSeconds * 1000, giveUp, request.waiting);
  const lastWords = collectLastWords(Math.max(limits.messageBytes, minimumWords));
  const notices = collectNotices(limits.messageBytes);
  let at: Entered | undefined;
  let answered = false;
  /** Held back until the next record, since its limits come after it. */
  let job: Extract<Finding, { kind: 'derivation' }> | undefined;
  const jobAt = (found: FoundJob) => ({ kind: 'derivation', path: at?.path ?? [], ...found }) as const;
  let finished = false;
  const failure = (text: string): Finding => {
    const definedAt = at?.position ? { definedAt: at.position } : {};
    return { kind: 'error', path: at?.path ?? [], text, ...definedAt };
  };
  try {
    for await (const line of readLines(stderr, maxLineBytes)) {
      const record = readRecord(line.text, nonce);
      if (record === undefined) lastWords.add(line.text);
      const notice = record === undefined ? notices.add(line.text) : notices.end();
      if (notice !== undefined) {
        watchdog.pause();
        yield { kind: 'notice', text: notice };
        watchdog.resume();
      }
      if (record === undefined) continue;
      if (record.kind === 'commit-used') {
        request.onCommitUsed?.();
        continue;
      }
      const words = lastWords.lines();
      lastWords.clear();
      watchdog.progress();
      if (record.kind === 'limits') {
        job = job && { ...job, limits: record.limits };
        continue;
      }
      if ((record.kind === 'entered' || record.kind === 'finished') && record.before)
        job = jobAt(record.before);
      if (job !== undefined) {
        watchdog.pause();
        yield job;
        watchdog.resume();
        job = undefined;
      }
      if (record.kind === 'entered') {
        // It is loaded. Nix 2.8 would read it again, byte by byte, for each frame of each error in it.
        if (at === undefined) rmSync(walkFile, { force: true });
        at = record;
        answered = false;
      } else if (record.kind === 'found') {
        answered = true;
        job = jobAt(record.job);
      } else if (record.kind === 'finished') {
        finished = true;
        if (repl !== undefined) return { kind: 'finished' };
      } else {
        if (at === undefined) return { kind: 'never-started' };
        // What failed after the answer is the job's meta, which counts as empty then.
        if (!answered) {
          const text = sessionError(words);
          if (text === undefined) return { kind: 'unexplained', cursor: at.cursor };
          watchdog.pause();
          yield failure(text);
          watchdog.resume();
        }
        // A dead root has no siblings.
        if (at.cursor.length === 0) return { kind: 'finished' };
        stdin.write(sessionCommand(nonce, at.cursor));
      }
    }
    const notice = notices.end();
    if (notice !== undefined) yield { kind: 'notice', text: notice };
    const end = await evaluator.ended;
    if (finished && end.exitCode === 0) return { kind: 'finished' };
    if (at === undefined && repl !== undefined) return { kind: 'never-started' };
    const cursor = at?.cursor ?? [];
    if (job !== undefined) yield job;
    if (answered) return { kind: 'died', cursor, outOfMemory: false };
    const text = silent
      ? `error: evaluating this attribute took longer than ${limits.attributeSeconds} seconds without any progress, which is the limit (evaluation.attribute_timeout), so it was given up`
      : deathText(end, lastWords.lines(), limits.memoryMegabytes);
    options.log.debug({ path: at?.path, text }, 'evaluator process died');
    const outOfMemory = !silent && /^error: (?:out of memory|The evaluator was killed)/.test(text);
    return { kind: 'died', cursor, outOfMemory, finding: failure(text) };
  } finally {
    watchdog.stop();
    evaluator.kill();
    await evaluator.ended;
  }
}

/** Characters of a message that are kept even if fewer may be shown: the place may be at its end. */
const minimumWords = 16 * 1024;

const common = ['--show-trace'];
const replFeatures = ['--extra-experimental-features', 'nix-command'];
const functionName = 'ringmasterWalk';
/** Known to `locations.ts`, which leaves out places in it. */
const walkFileName = 'ringmaster-walk.nix';

function sessionCommand(nonce: string, cursor: Cursor): string {
  const ready = `builtins.trace (${nixString(nonce)} + "Dnull") null`;
  return `${functionName} ${nixIndices(cursor)}\n)\n${ready}\n`;
}

/** The error that a command of a session printed before the one that our `)` provokes. */
function sessionError(lines: readonly string[]): string | undefined {
  const provoked = lines.findLastIndex((line) =>
    stripAnsi(line).startsWith(`error: syntax error, unexpected ')'`),
  );
  return findErrorText(provoked === -1 ? lines : lines.slice(0, provoked));
}

function readRecord(line: string, nonce: string): WalkRecord | undefined {
  if (!line.startsWith('trace: ')) return undefined;
  try {
    return parseWalkRecord(line, nonce);
  } catch (error) {
    throw new Error(`The walk expression printed a record that cannot be read: ${messageOf(error)}`);
  }
}

function deathText(end: ProcessEnd, lines: readonly string[], memoryMegabytes: number): string {
  const said = findErrorText(lines);
  if (said === 'error: out of memory') {
    return `${said} (an evaluator process may use ${memoryMegabytes} MB: evaluation.memory)`;
  }
  if (said !== undefined) return said;
  const jail = lines.find((line) => line.startsWith('bwrap: '));
  if (jail !== undefined) return `error: the evaluator could not be locked in: ${jail}`;
  return `error: ${describeEnd(end, memoryMegabytes) ?? 'The evaluator ended without a message.'}`;
}
