/**
 * The built-in evaluator: the whole tree in one process of plain Nix, which says what it is about to
 * force. If the process dies, the attribute it was at is an error and another process goes on behind
 * it; so one process does everything as long as nothing fails, and a crash costs one restart.
 *
 *   start ──records──> walking ──exit 0──> done
 *                        │  died at an attribute, or was killed for silence
 *                        └──> error at that attribute; start again behind it
 *                                  └── more than 200 times: the rest is given up, with an error at []
 */

import type { Logger } from '../basics/index.ts';
import { messageOf } from '../basics/index.ts';
import { type Containment, evaluatorCommandLine } from './command-line.ts';
import { findErrorText, noticeIn } from './error-text.ts';
import { describeEnd, type ProcessEnd, startEvaluator } from './evaluator-process.ts';
import { collectLastWords } from './last-words.ts';
import { readLines } from './lines.ts';
import { restrictionArguments } from './restrictions.ts';
import type { Finding, Walk, WalkRequest } from './walk.ts';
import { type Cursor, walkExpression } from './walk-expression.ts';
import { parseWalkRecord, type WalkRecord } from './walk-records.ts';
import { startWatchdog } from './watchdog.ts';

export interface WalkerOptions {
  /** The `nix-instantiate` to run. */
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  readonly allowedUris: readonly string[];
  readonly containment: Containment;
  readonly log: Logger;
}

/** Restarts of one evaluation; each one pays for what all attributes share again. */
const maxRestarts = 200;

/** Bytes of one line. A record holds an attribute path and two store paths; user traces may be anything. */
const maxLineBytes = 10 * 1024 * 1024;

/** The attribute that is being forced. */
type Entered = Pick<Extract<WalkRecord, { kind: 'entered' }>, 'path' | 'cursor' | 'position'>;

/** Why a run of the walk ended before the tree did. */
interface Death {
  readonly cursor: Cursor;
  /** Absent when the attribute it was at had given its answer already. */
  readonly finding?: Finding;
}

/** The built-in evaluator's walk. */
export function createWalker(options: WalkerOptions): Walk {
  return async function* walk(request) {
    let cursor: Cursor = [];
    for (let restarts = 0; restarts <= maxRestarts; restarts += 1) {
      const death: Death | undefined = yield* runOnce(options, request, cursor);
      if (death === undefined || request.signal.aborted) return;
      if (death.finding !== undefined) yield death.finding;
      // A dead root has no siblings.
      if (death.cursor.length === 0) return;
      cursor = death.cursor;
    }
    yield {
      kind: 'error',
      path: [],
      text: `error: the evaluator died more than ${maxRestarts} times; the attributes after the last error were not evaluated`,
    };
  };
}

/** One process, from the cursor to the end of the tree or to its death. */
async function* runOnce(
  options: WalkerOptions,
  request: WalkRequest,
  cursor: Cursor,
): AsyncGenerator<Finding, Death | undefined> {
  const { limits, nonce } = request;
  const command = await evaluatorCommandLine(
    {
      program: options.program,
      arguments: [
        '--eval',
        '--read-write-mode',
        '--show-trace',
        '--no-build-output',
        ...restrictionArguments({ ...request, allowedUris: options.allowedUris }),
        '-',
      ],
      directory: request.directory,
      memoryMegabytes: limits.memoryMegabytes,
      containment: options.containment,
    },
    options.env,
  );
  const evaluator = startEvaluator(command, walkExpression(request, cursor), request.signal);
  // What the expression evaluates to (null) is of no interest, but a full pipe would stop it.
  evaluator.child.stdout.resume();
  let silent = false;
  const watchdog = startWatchdog(limits.attributeSeconds * 1000, () => {
    silent = true;
    evaluator.kill();
  });
  const lastWords = collectLastWords(limits.messageBytes);
  let at: Entered = { path: [], cursor: [], position: null };
  let answered = false;
  try {
    for await (const line of readLines(evaluator.child.stderr, maxLineBytes)) {
      const record = line.text.startsWith('trace: ') ? readRecord(line.text, nonce) : undefined;
      if (record === undefined) {
        lastWords.add(line.text);
        const notice = noticeIn(line.text);
        if (notice === undefined) continue;
        watchdog.pause();
        yield { kind: 'notice', text: notice };
        watchdog.resume();
        continue;
      }
      lastWords.clear();
      watchdog.progress();
      if (record.kind === 'entered') {
        at = record;
        answered = false;
      } else {
        answered = true;
        watchdog.pause();
        const { path, name, drvPath, mark } = record;
        yield { kind: 'derivation', path, name, drvPath, mark };
        watchdog.resume();
      }
    }
    const end = await evaluator.ended;
    if (end.exitCode === 0) return undefined;
    if (answered) return { cursor: at.cursor };
    const text = silent
      ? `error: evaluating this attribute took longer than ${limits.attributeSeconds} seconds without any progress, so it was given up`
      : deathText(end, lastWords.lines(), limits.memoryMegabytes);
    options.log.debug({ path: at.path, text }, 'evaluator process died');
    const definedAt = at.position === null ? {} : { definedAt: at.position };
    return { cursor: at.cursor, finding: { kind: 'error', path: at.path, text, ...definedAt } };
  } finally {
    watchdog.stop();
    evaluator.kill();
    await evaluator.ended;
  }
}

function readRecord(line: string, nonce: string): WalkRecord | undefined {
  try {
    return parseWalkRecord(line, nonce);
  } catch (error) {
    throw new Error(`The walk expression printed a record that cannot be read: ${messageOf(error)}`);
  }
}

function deathText(end: ProcessEnd, lines: readonly string[], memoryMegabytes: number): string {
  const said = findErrorText(lines);
  if (said === 'error: out of memory') return `${said} (an evaluator process may use ${memoryMegabytes} MB)`;
  if (said !== undefined) return said;
  return `error: ${describeEnd(end, memoryMegabytes) ?? 'The evaluator ended without a message.'}`;
}
