/**
 * The built-in evaluator: the whole tree in one process of plain Nix, which says what it is about to
 * force. If the process dies, the attribute it was at is an error and another process goes on behind it.
 *
 *   nix repl session ──done──> end; failures cost nothing, since the process lives on
 *        │  died (stack overflow, silence): error there; a new session behind it
 *        │  died of memory: go on AT it, once; the attributes before it may have used it up
 *        │  failed and did not say why: nix-instantiate from there, which says it
 *        └──never started──> nix-instantiate, which dies of each failure, for all of it
 *   more than 200 processes: the rest is given up, with an error at []
 */
import type { Walk } from '../walk.ts';
import { type Cursor, justBefore } from './walk-expression.ts';
import { type SessionEnd, type WalkProcessOptions, walkInProcess } from './walk-session.ts';

export interface WalkerOptions extends WalkProcessOptions {
  /** The `nix` whose repl takes over after some deaths. Without it, each failure costs a process. */
  readonly repl?: string;
}

/** Processes of one evaluation; each one pays for what all attributes share again. */
const maxProcesses = 200;

/** The built-in evaluator's walk. */
export function createWalker(options: WalkerOptions): Walk {
  return async function* walk(request) {
    let cursor: Cursor = [];
    let retried: string | undefined;
    // Input of a session goes through a line editor, which does not take every byte.
    let repl = /^[\x20-\x7e]*$/.test(request.directory) ? options.repl : undefined;
    let explaining = false;
    for (let processes = 0; processes < maxProcesses; processes += 1) {
      const session: string | undefined = explaining ? undefined : repl;
      const end: SessionEnd = yield* walkInProcess(options, request, cursor, session);
      explaining = false;
      if (end.kind === 'finished' || request.signal.aborted) return;
      if (end.kind === 'never-started') {
        options.log.warn('nix repl cannot be used; each failing attribute costs a process');
        repl = undefined;
        continue;
      }
      if (end.kind === 'unexplained') {
        explaining = true;
        cursor = justBefore(end.cursor);
        continue;
      }
      if (end.outOfMemory && end.finding && end.cursor.length > 0 && retried !== end.cursor.join()) {
        retried = end.cursor.join();
        cursor = justBefore(end.cursor);
        explaining = true;
        continue;
      }
      if (end.finding !== undefined) yield end.finding;
      // A dead root has no siblings.
      if (end.cursor.length === 0) return;
      cursor = end.cursor;
    }
    yield {
      kind: 'error',
      path: [],
      text: `error: the evaluator died more than ${maxProcesses} times; the attributes after the last error were not evaluated`,
    };
  };
}
