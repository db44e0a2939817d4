/**
 * What both evaluators have in common: the file search, limits over the whole evaluation, and the
 * way from raw findings to the events that everybody else reads.
 */
import { randomBytes } from 'node:crypto';
import { realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../basics/index.ts';
import { messageOf, OperatorError } from '../../basics/index.ts';
import type { PendingDerivations, StoreLayout, TextWriter } from '../../nix/index.ts';
import { watchProvenance } from '../audit/watch-provenance.ts';
import type {
  Evaluate,
  EvaluationError,
  EvaluationEvent,
  EvaluationLimits,
  EvaluationNotice,
  EvaluationRequest,
} from '../events.ts';
import { adviceOn } from './advice.ts';
import { readDerivationFacts } from './derivation-file.ts';
import { withMemoryLimit } from './error-text.ts';
import { findEvaluationFile, flakeFile } from './find-file.ts';
import { explainLockFailure, type FlakeOptions, type OpenedFlake, openFlake } from './flakes/flake.ts';
import { cleanError, locationInside } from './locations.ts';
import type { OpenWalk } from './open-walk.ts';
import { makePrivateFolder } from './private-folders.ts';
import { explainRuleFailure, failedForWantOfAnArgument } from './rule-failures.ts';
import { type Audit, createAudit, foreignPath } from './store-gate/audit.ts';
import { createTrail, type Trail } from './store-gate/trail.ts';
import { createWaiting, type Waiting } from './waiting.ts';
import type { AttributeFinding, Finding } from './walk.ts';
import { startWatchdog } from './watchdog.ts';
import { type DerivationsOfEvaluation, writeWhileEvaluating } from './written-derivations.ts';

export interface EvaluateOptions {
  /** For the `started` event, for example `built-in (nix 2.8.0)`. */
  readonly name: string;
  readonly openWalk: OpenWalk;
  readonly store: StoreLayout;
  readonly flakes: FlakeOptions;
  /** For derivations that nobody wants to keep in memory. */
  readonly createWriter: () => TextWriter;
  /** Where private directories of evaluations are made. */
  readonly temporaryDirectory: string;
  readonly log: Logger;
}

/** Notices of one evaluation; code that traces without end must not fill a database. */
const maxNotices = 200;

/** Makes the public `evaluate` of one evaluator. */
export function createEvaluate(options: EvaluateOptions): Evaluate {
  return async function* evaluate(request) {
    request.signal.throwIfAborted();
    const checkout = await realpath(request.checkout);
    const search = await findEvaluationFile(checkout);
    if (search.file !== undefined) {
      yield { type: 'started', file: search.file, evaluator: options.name };
    }
    if (!search.found) {
      yield rootError(search.problem);
      return;
    }
    for (const message of search.notices) yield { type: 'notice', message };
    yield* limited(options, request, checkout, search.file);
    request.signal.throwIfAborted();
  };
}

/** The walk under the limits that hold for the evaluation as a whole. */
async function* limited(
  options: EvaluateOptions,
  request: EvaluationRequest,
  checkout: string,
  file: string,
): AsyncGenerator<EvaluationEvent> {
  const { limits } = request;
  const waiting = createWaiting();
  const timer = new AbortController();
  const outOfTime = timer.signal;
  const clock = startWatchdog(limits.totalSeconds * 1000, () => timer.abort(), waiting);
  const directory = await makePrivateFolder(options.temporaryDirectory);
  const { derivations, finish, letGo } = whereDerivationsGo(options, request);
  const provenance = request.provenance && watchProvenance(request.provenance);
  const brokenOff = provenance?.brokenOff ?? new AbortController().signal;
  const signal = AbortSignal.any([request.signal, outOfTime, brokenOff]);
  const trail = createTrail();
  const audit = provenance && createAudit({ derivations, trail, provenance });
  const room: Room = { checkout, file, directory, derivations, trail, audit, waiting, signal, brokenOff };
  const opened: Opened = { close: async () => {} };
  try {
    yield* walked(options, request, room, opened);
    brokenOff.throwIfAborted();
    // The gate is about to be closed, and what it added long ago may not be kept by others any more.
    await derivations.keep([...trail.sources]);
    await finish();
    await provenance?.remember([...trail.sources]);
    if (outOfTime.aborted && !request.signal.aborted) yield outOfTimeError(limits);
  } catch (error) {
    if (request.signal.aborted) return;
    brokenOff.throwIfAborted();
    if (outOfTime.aborted) return yield outOfTimeError(limits);
    options.log.error({ err: error }, 'evaluator failed');
    yield rootError(`The evaluator failed: ${explain(error)}`);
  } finally {
    clock.stop();
    await opened.close();
    await letGo();
    await rm(directory, { recursive: true, force: true }).catch((error: unknown) => {
      options.log.warn({ err: error, directory }, 'what an evaluation left could not be removed');
    });
  }
}

/** What belongs to one evaluation. */
interface Room {
  readonly checkout: string;
  readonly file: string;
  readonly directory: string;
  readonly derivations: PendingDerivations;
  readonly trail: Trail;
  readonly audit: Audit | undefined;
  readonly waiting: Waiting;
  readonly signal: AbortSignal;
  /** Aborted when it cannot be known what the code may use; findings would be wrong from then on. */
  readonly brokenOff: AbortSignal;
}

interface Opened {
  close: () => Promise<void>;
}

async function* walked(
  options: EvaluateOptions,
  request: EvaluationRequest,
  room: Room,
  toClose: Opened,
): AsyncGenerator<EvaluationEvent> {
  const { limits, trusted } = request;
  const { checkout, file, derivations } = room;
  const { onImport, fetchAccess } = request;
  const opened = await options.openWalk({ ...room, trusted, limits, onImport, fetchAccess });
  if (opened.kind === 'refused') {
    yield rootError(opened.reason);
    return;
  }
  toClose.close = opened.close;
  for (const message of opened.notices) yield { type: 'notice', message };
  const flake =
    file === flakeFile
      ? await openFlake(options.flakes, { ...request, ...room, store: opened.store })
      : undefined;
  if (flake && 'problem' in flake) {
    yield rootError(flake.problem);
    return;
  }
  const nonce = `ringmaster-${randomBytes(16).toString('hex')}:`;
  const source = flake?.source.storePath ?? checkout;
  const findings = opened.walk({
    ...request,
    ...room,
    checkout: source,
    ...(flake && { flake: flake.root }),
    file: join(checkout, file),
    nonce,
  });
  const { store } = options;
  const words: Words = { checkout: source, file, trusted, nonce, limits, store, derivations, flake };
  let attributes = 0;
  let notices = 0;
  for await (const finding of findings) {
    if (room.brokenOff.aborted) return;
    if (finding.kind === 'notice') {
      notices += 1;
      if (notices <= maxNotices) yield noticeOf(finding.text, words);
      continue;
    }
    attributes += 1;
    if (attributes > limits.attributes) {
      yield rootError(
        `The evaluation has more than ${limits.attributes} attributes, which is the limit (evaluation.max_attributes); the rest was not evaluated.`,
      );
      return;
    }
    const foreign = finding.kind === 'derivation' ? await room.audit?.check(finding.drvPath) : undefined;
    yield eventOf(foreign === undefined ? finding : refused(finding, foreign), words);
  }
  if (attributes === 0 && !flake && !room.signal.aborted) yield nothingFound(file);
  if (notices > maxNotices) {
    yield { type: 'notice', message: `${notices - maxNotices} more traces and warnings are not shown.` };
  }
}

/** Into the asker's memory, or, by the end of the evaluation, into the store. */
function whereDerivationsGo(
  { createWriter }: EvaluateOptions,
  request: EvaluationRequest,
): DerivationsOfEvaluation {
  const { derivations } = request;
  if (derivations) return { derivations, finish: async () => {}, letGo: async () => {} };
  return writeWhileEvaluating(createWriter());
}

function outOfTimeError({ totalSeconds }: EvaluationLimits): EvaluationError {
  return rootError(
    `The evaluation took longer than ${totalSeconds} seconds, which is the limit (evaluation.timeout), and was ended.`,
  );
}

interface Words {
  readonly checkout: string;
  readonly file: string;
  readonly trusted: boolean;
  readonly nonce: string;
  readonly limits: EvaluationLimits;
  readonly store: StoreLayout;
  readonly derivations: PendingDerivations;
  readonly flake: OpenedFlake | undefined;
}

function eventOf(finding: AttributeFinding, words: Words): EvaluationEvent {
  if (finding.kind === 'error') return errorOf(finding, words);
  const { path, name, drvPath, mark, limits } = finding;
  const facts = readDerivationFacts(drvPath, words.store, words.derivations);
  if (facts === undefined) {
    const text = `error: its drvPath, '${drvPath}', is not a derivation in the store`;
    return errorOf({ kind: 'error', path, text }, words);
  }
  return { type: 'job', path, drvPath, name, ...facts, mark, ...(limits && { limits }) };
}

function refused({ path }: AttributeFinding, foreign: string): AttributeFinding {
  return { kind: 'error', path, text: `error: it uses ${foreignPath(foreign)}, so it is not built` };
}

function errorOf(finding: Extract<Finding, { kind: 'error' }>, words: Words): EvaluationError {
  const { path, definedAt } = finding;
  const { checkout, file, trusted } = words;
  const text =
    (words.flake && explainLockFailure(finding.text)) ??
    explainRuleFailure(finding.text, words.nonce, file) ??
    atStorePath(finding.text, words);
  const argumentMissing = failedForWantOfAnArgument(finding.text, words.nonce);
  const { message, ...cleaned } = cleanError(withMemoryLimit(text, words.limits.memoryMegabytes), {
    checkout,
    maxBytes: words.limits.messageBytes,
    advise: (shown) => adviceOn(shown, { trusted, file, argumentMissing }),
  });
  const location =
    cleaned.location ??
    (definedAt && locationInside({ ...definedAt, file: atStorePath(definedAt.file, words) }, checkout)) ??
    // What is wrong with the whole of it.
    (path.length === 0 && !words.flake ? { file, line: 1 } : undefined);
  return { type: 'error', path, message, ...(location ? { location } : {}) };
}

/** Some versions of Nix tell where the files of a store are, some what they are called. */
function atStorePath(text: string, { store }: Words): string {
  return text.replaceAll(`${store.realStoreDir}/`, `${store.storeDir}/`);
}

function noticeOf(text: string, words: Words): EvaluationNotice {
  const { checkout, limits } = words;
  return {
    type: 'notice',
    ...cleanError(atStorePath(text, words), { checkout, maxBytes: limits.messageBytes }),
  };
}

/** The most likely reason for it fails nothing, so nobody would see it. */
function nothingFound(file: string): EvaluationNotice {
  const message = `'${file}' has nothing to build: no derivation at its top level, nor in those attribute sets there that have 'recurseForDerivations = true' (pkgs.recurseIntoAttrs); others are not looked into.`;
  return { type: 'notice', message, location: { file, line: 1 } };
}

function rootError(message: string): EvaluationError {
  return { type: 'error', path: [], message };
}

function explain(error: unknown): string {
  const hint = error instanceof OperatorError ? error.hint : undefined;
  return hint === undefined ? messageOf(error) : `${messageOf(error)} ${hint}`;
}
