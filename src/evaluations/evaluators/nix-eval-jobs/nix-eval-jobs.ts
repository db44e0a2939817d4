/**
 * The evaluator over nix-eval-jobs: several worker processes, memory bounded by restarting them.
 *
 *   run ──exit 0──> done
 *    │  looking for a job's limits failed ──> run again for these jobs, without looking
 *    │  a worker died at a named path ──> run again, there without looking for limits
 *    │  it died there again ──> error there; run again without what is answered
 *    │  an error that was answered ended it (stack overflow, since 2.34) ──> run again without it
 *    │  it died at once and silently, the first time ──> run again (creating a store is a race)
 *    └─ anything else: silence, an unnamed crash, too many deaths
 *         ──> the built-in walker does what is left; it finds every culprit
 *
 * Silence is not only an attribute without end: up to 2.33, a worker that dies beside others may leave the
 * program waiting for it for ever, since they hold the ends of its pipes.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../../basics/index.ts';
import type { AttributePath } from '../../events.ts';
import { type Containment, evaluatorCommandLine } from '../command-line.ts';
import { stripAnsi } from '../error-text.ts';
import { startEvaluator } from '../evaluator-process.ts';
import { collectLastWords } from '../last-words.ts';
import { type Line, readLines } from '../lines.ts';
import { collectNotices } from '../notices.ts';
import { restrictionArguments } from '../restrictions.ts';
import { commitUsed } from '../traversal-rules.ts';
import type { AttributeFinding, Finding, Walk, WalkRequest } from '../walk.ts';
import { startWatchdog } from '../watchdog.ts';
import { watchErrors } from './culprit-words.ts';
import { collectGitWords, mayBeOfGit } from './git-words.ts';
import {
  type JobsDeath,
  moreTelling,
  parseCutLine,
  parseJobsDeath,
  parseJobsLine,
} from './nix-eval-jobs-lines.ts';
import type { JobsProgram } from './nix-eval-jobs-program.ts';
import {
  type Exceptions,
  limitsFailed,
  unwrapPath,
  wrappedRoot,
  wrapperExpression,
} from './wrapper-expression.ts';

export interface JobsOptions {
  readonly jobs: JobsProgram;
  readonly env: Readonly<Record<string, string>>;
  readonly allowedUris: readonly string[];
  readonly containment: Containment;
  readonly workers: number;
  /** Keeps the .drv files from being collected while the evaluation lasts. */
  readonly gcRootsDirectory?: string;
  /** Takes over where nix-eval-jobs does not get on. */
  readonly fallback: Walk;
  readonly log: Logger;
}

/** Deaths of workers in one evaluation before the built-in walker takes over. */
const maxCrashes = 8;

/** Bytes of one line: an error with a deep trace may be long. */
const maxLineBytes = 10 * 1024 * 1024;

interface Progress {
  /** Paths of the wrapped tree that have their answer. */
  readonly answered: Set<string>;
  /** Paths of the wrapped tree where looking for limits may be what fails. */
  readonly bare: Set<string>;
  /** What the first deaths at paths of the wrapped tree said. */
  readonly deaths: Map<string, string>;
  /** Traces and warnings: what attributes share is said by each worker, and once more in each run. */
  readonly told: Set<string>;
}

type RunEnd =
  | { readonly kind: 'done' }
  /** Some jobs are to be asked for again, without their limits. */
  | { readonly kind: 'bare' }
  | { readonly kind: 'silent' }
  | JobsDeath;

/** The walk over nix-eval-jobs. */
export function createJobsWalk(options: JobsOptions): Walk {
  return async function* walk(request) {
    const progress: Progress = {
      answered: new Set(),
      bare: new Set(),
      deaths: new Map(),
      told: new Set(),
    };
    let crashes = 0;
    for (let run = 1; ; run += 1) {
      const before = progress.answered.size;
      const end: RunEnd = yield* runOnce(options, request, progress, run);
      if (end.kind === 'done' || request.signal.aborted) return;
      if (end.kind === 'bare') continue;
      options.log.debug({ end, run }, 'nix-eval-jobs did not finish');
      const culprit = end.kind === 'crash' && end.wrappedPath ? unwrapPath(end.wrappedPath) : undefined;
      if (end.kind === 'crash' && end.wrappedPath && culprit && crashes < maxCrashes) {
        crashes += 1;
        const key = end.wrappedPath.join('.');
        const text = moreTelling(progress.deaths.get(key), end.text);
        progress.deaths.set(key, text);
        if (isNew(progress.bare, key)) continue;
        if (isNew(progress.answered, key)) {
          yield { kind: 'error', path: culprit, text: text.replace(/^(?!error:)/, 'error: ') };
        }
        if (culprit.length === 0) return;
        continue;
      }
      const stuck = before === progress.answered.size;
      if (end.kind === 'failure' && (stuck ? run === 1 : crashes < maxCrashes)) {
        if (progress.answered.has(wrappedRoot)) return;
        if (!stuck) crashes += 1;
        continue;
      }
      break;
    }
    options.log.warn('nix-eval-jobs does not get on; the built-in evaluator does the rest');
    yield* unreported(options.fallback(request), progress);
  };
}

async function* runOnce(
  options: JobsOptions,
  request: WalkRequest,
  progress: Progress,
  run: number,
): AsyncGenerator<Finding, RunEnd> {
  const { limits } = request;
  const exceptionsFile = run > 1 ? join(request.directory, `exceptions-${run}.json`) : undefined;
  if (exceptionsFile !== undefined) {
    const exceptions: Exceptions = { skip: [...progress.answered], bare: [...progress.bare] };
    await writeFile(exceptionsFile, JSON.stringify(exceptions));
  }
  const command = evaluatorCommandLine(
    {
      program: options.jobs.program,
      arguments: [
        ...['--workers', String(options.workers)],
        // Looked at between attributes only; the hard limit is the address space.
        ...['--max-memory-size', String(Math.floor(limits.memoryMegabytes * 0.75))],
        ...(options.gcRootsDirectory === undefined ? [] : ['--gc-roots-dir', options.gcRootsDirectory]),
        ...['--meta', '--show-trace'],
        ...restrictionArguments({ ...request, allowedUris: options.allowedUris }),
        ...(exceptionsFile === undefined ? [] : ['-I', `__ringmaster-exceptions=${exceptionsFile}`]),
        ...['--expr', wrapperExpression({ ...request, ...(exceptionsFile && { exceptionsFile }) })],
      ],
      directory: request.directory,
      memoryMegabytes: limits.memoryMegabytes,
      containment: options.containment,
    },
    options.env,
  );
  const evaluator = startEvaluator(command, request.signal);
  evaluator.child.stdin.end();
  let silent = false;
  let unreadable: string | undefined;
  let again = false;
  const giveUp = () => {
    silent = true;
    evaluator.kill();
  };
  const watchdog = startWatchdog(limits.attributeSeconds * 1000, giveUp, request.waiting);
  const lastWords = collectLastWords(limits.messageBytes);
  const errors = watchErrors();
  const notices = collectNotices(limits.messageBytes);
  const gitWords = collectGitWords();
  const ofGit: Extract<Finding, { kind: 'error' }>[] = [];
  const traces: string[] = [];
  const ofCommit = `trace: ${request.nonce}${commitUsed}`;
  const heard = readStderr(evaluator.child.stderr, (plain) => {
    const ours = plain === ofCommit;
    const notice = ours ? notices.end() : notices.add(plain);
    if (notice !== undefined && traces.length < maxTraces && isNewNotice(progress, notice))
      traces.push(notice);
    if (ours) request.onCommitUsed?.();
    else {
      lastWords.add(plain);
      gitWords.add(plain);
    }
  });
  try {
    for await (const line of readLines(evaluator.child.stdout, maxLineBytes)) {
      const answer = readAnswer(line);
      // The last line of a killed process may be half a line; the path is asked for again.
      if (answer === undefined) {
        unreadable = line.text.slice(0, 200);
        continue;
      }
      watchdog.progress();
      watchdog.pause();
      if (traces.length > 0) for (const text of traces.splice(0)) yield { kind: 'notice', text };
      const { wrappedPath, finding } = answer;
      const broken = finding.kind === 'error' && finding.text.includes(request.nonce + limitsFailed);
      const key = wrappedPath.join('.');
      if (finding.kind === 'error') errors.answered(finding.text);
      if (broken && isNew(progress.bare, key)) again = true;
      else if (isNew(progress.answered, key)) {
        const later = finding.kind === 'error' && ofGit.length < maxOfGit && mayBeOfGit(finding.text);
        if (later) ofGit.push(finding);
        else yield finding;
      }
      watchdog.resume();
    }
    await heard;
    for (const finding of ofGit) yield { ...finding, text: gitWords.explain(finding.text) };
    const last = notices.end();
    if (last !== undefined && isNewNotice(progress, last)) traces.push(last);
    for (const text of traces.splice(0)) yield { kind: 'notice', text };
    const end = await evaluator.ended;
    if (end.startError) throw end.startError;
    if (end.exitCode === 0 && unreadable === undefined) return { kind: again ? 'bare' : 'done' };
    if (end.exitCode === 0) return { kind: 'failure', text: `a line that cannot be read: ${unreadable}` };
    if (silent) return { kind: 'silent' };
    const death = parseJobsDeath(lastWords.lines());
    return { ...death, text: errors.among(lastWords.lines()) ?? death.text };
  } finally {
    watchdog.stop();
    evaluator.kill();
    await evaluator.ended;
    await heard.catch(() => {});
  }
}

/** Errors kept to the end of a run, for what git has to say to them. */
const maxOfGit = 100;

/** Traces kept between two answers. */
const maxTraces = 200;

async function readStderr(
  stream: Parameters<typeof readLines>[0],
  onLine: (plain: string) => void,
): Promise<void> {
  for await (const { text } of readLines(stream, maxLineBytes)) onLine(stripAnsi(text));
}

interface Answer {
  readonly wrappedPath: readonly string[];
  readonly finding: AttributeFinding;
}

/** The finding in a line; undefined for a line that is not whole, or not of the wrapped tree. */
function readAnswer({ text, cut }: Line): Answer | undefined {
  let line: ReturnType<typeof parseCutLine>;
  try {
    line = cut ? parseCutLine(text) : parseJobsLine(text);
  } catch {
    return undefined;
  }
  if (line === undefined) return undefined;
  const path = unwrapPath(line.attrPath);
  if (path === undefined) return undefined;
  const finding: AttributeFinding =
    'error' in line
      ? { kind: 'error', path, text: line.error.replace(/^std::bad_alloc$/, 'error: out of memory') }
      : { kind: 'derivation', path, name: line.name, drvPath: line.drvPath, ...line.meta };
  return { wrappedPath: line.attrPath, finding };
}

/** Notices remembered; more than an evaluation may have. */
const maxTold = 1000;

function isNewNotice({ told }: Progress, text: string): boolean {
  return told.size >= maxTold || isNew(told, text);
}

function isNew(set: Set<string>, key: string): boolean {
  if (set.has(key)) return false;
  set.add(key);
  return true;
}

/** Attribute paths as JSON of paths of the wrapped tree, whose names have no dots. */
function reportedPaths(answered: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...answered].map((key) => JSON.stringify(unwrapPath(key.split('.')))));
}

/** What a second walk finds beyond the first; what lies below a reported path was lost with it. */
async function* unreported(findings: AsyncIterable<Finding>, progress: Progress): AsyncGenerator<Finding> {
  const reported = reportedPaths(progress.answered);
  for await (const finding of findings) {
    if (finding.kind === 'notice') {
      if (isNewNotice(progress, finding.text)) yield finding;
    } else if (!hasReportedPrefix(finding.path, reported)) yield finding;
  }
}

function hasReportedPrefix(path: AttributePath, reported: ReadonlySet<string>): boolean {
  for (let length = 0; length <= path.length; length += 1) {
    if (reported.has(JSON.stringify(path.slice(0, length)))) return true;
  }
  return false;
}
