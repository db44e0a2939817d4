/** `ringmaster run`: evaluates and builds a checkout here, as the server would. */
import { exitStatus } from '../basics/index.ts';
import { createLocalBuilder } from '../builders/index.ts';
import {
  type BuildWish,
  createMissingPlanner,
  type LocalRunEvent,
  type MissingPlanner,
  runLocally,
} from '../builds/index.ts';
import {
  createEvaluator,
  type EvaluationEvent,
  type Evaluator,
  type EvaluatorNix,
  readInBatches,
} from '../evaluations/index.ts';
import {
  createPendingDerivations,
  createTextWriter,
  type FoundNix,
  isTrusted,
  type LocalNix,
  type NixStore,
  openLocalStore,
  type PendingDerivations,
  type TextWriter,
} from '../nix/index.ts';
import type { CommandContext } from './context.ts';
import { type ChosenAttributes, chooseAttributes } from './run/attributes.ts';
import type { LocalCheckout } from './run/checkout.ts';
import { tellImports } from './run/imports.ts';
import { createJournal, type Journal } from './run/journal.ts';
import { createJsonReporter } from './run/json.ts';
import { createLineReporter } from './run/lines.ts';
import { createLiveReporter } from './run/live.ts';
import { createLogTails, type LogTails } from './run/log-tails.ts';
import { lookAround } from './run/look-around.ts';
import type { RunReporter, RunSummary } from './run/reporter.ts';
import type { RunSettings } from './run/settings.ts';
import { stageFiles } from './run/staging.ts';
import { canBeLive } from './terminal/live-area.ts';
import { plainLine, shellWord } from './terminal/text.ts';

export interface RunOptions {
  readonly path: string;
  readonly json: boolean;
  readonly build: boolean;
  /** Patterns of attribute paths; absent: all attributes. */
  readonly attributes?: readonly string[];
  readonly jobs?: number;
}

/** Runs it all and returns the exit status of the contract. */
export async function run(context: CommandContext, options: RunOptions): Promise<number> {
  const begin = performance.now();
  const { signal } = context.interruption;
  const { checkout, settings, home, nix, proveSandbox, jail } = await lookAround(context, options);
  if (nix.ownStore !== undefined && !context.options.quiet) {
    context.stderr.write(
      `note: no Nix daemon runs here and /nix is not yours, so the store is in ${plainLine(nix.ownStore)}\n`,
    );
  }
  const evaluator = await createEvaluator({
    nix: { ...evaluatorNix(nix), readablePaths: settings.readablePaths },
    log: context.log,
    ...settings.evaluator,
    foundJail: jail,
  });

  const journal = createJournal();
  const tails = createLogTails();
  const reporter = chooseReporter(context, options, journal, tails);
  try {
    reporter.started({
      checkout: checkout.directory,
      evaluator: evaluator.name,
      revision: checkout.revision,
      readLog: readLogCommand(nix),
    });
    const chosen = chooseAttributes(options.attributes);
    const evaluating = {
      evaluator,
      checkout,
      settings,
      home,
      signal,
      journal,
      reporter,
      tails,
      begin,
      chosen,
    };
    if (options.build) {
      const slots = options.jobs ?? settings.slots;
      await build({ evaluating, context, settings, nix, slots, journal, reporter, tails, proveSandbox });
    } else {
      // Whoever evaluates may have something built for it, and is told the same as who builds.
      const proven = unlessAborted(proveSandbox(), signal);
      proven.catch(() => {});
      await evaluate(evaluating, undefined);
      await proven;
    }
    const summary = summarise(journal, options.build, signal.aborted, (performance.now() - begin) / 1000);
    await reporter.ended(summary);
    return context.interruption.status() ?? (summary.good ? exitStatus.ok : exitStatus.failed);
  } catch (error) {
    reporter.abandon();
    throw error;
  }
}

function chooseReporter(
  { stdout, style, env, options: { quiet, verbose } }: CommandContext,
  { json }: RunOptions,
  journal: Journal,
  tails: LogTails,
): RunReporter {
  const write = (text: string) => void stdout.write(text);
  if (json) return createJsonReporter(write, tails);
  if (!quiet && !verbose && canBeLive(stdout, env)) {
    return createLiveReporter({ stream: stdout, style, journal, tails });
  }
  return createLineReporter({ write, style, journal, tails, logs: verbose, details: !quiet });
}

/** `nix log` would need an experimental feature that few have switched on. */
function readLogCommand({ ownStore }: LocalNix): string {
  const store = ownStore === undefined ? '' : ` --store ${shellWord(ownStore)}`;
  return `nix-store --read-log${store}`;
}

function evaluatorNix({ environment, programs, layout, version }: LocalNix): EvaluatorNix {
  return { env: environment, nixInstantiate: programs['nix-instantiate'], version, store: layout };
}

interface Evaluating {
  readonly evaluator: Evaluator;
  readonly checkout: LocalCheckout;
  readonly settings: RunSettings;
  readonly home: string;
  readonly signal: AbortSignal;
  readonly journal: Journal;
  readonly reporter: RunReporter;
  readonly tails: LogTails;
  /** When the run began; milliseconds. */
  readonly begin: number;
  readonly chosen: ChosenAttributes;
}

/** Evaluates all of it and builds nothing. */
async function evaluate(work: Evaluating, derivations: PendingDerivations | undefined): Promise<void> {
  for await (const _ of evaluationEvents(work, derivations));
}

/** What lies in one's own checkout is trusted, as a branch of the repository is on the server. */
async function* evaluationEvents(
  work: Evaluating,
  derivations: PendingDerivations | undefined,
): AsyncGenerator<EvaluationEvent> {
  const { evaluator, checkout, settings, home, signal, journal, reporter, tails, begin, chosen } = work;
  const { files, source } = checkout;
  const staged = files && (await stageFiles(checkout.directory, files, home));
  try {
    const request = {
      checkout: staged?.directory ?? checkout.directory,
      source,
      trusted: true,
      limits: settings.limits,
      ...(derivations && { derivations }),
      onImport: tellImports((event) => reporter.imported(event), tails),
      signal,
    };
    for await (const event of evaluator.evaluate(request)) {
      if (!chosen.has(event)) continue;
      journal.evaluated(event);
      reporter.evaluated(event);
      yield event;
    }
    chosen.check();
  } catch (error) {
    // Cancelled evaluations throw; the summary tells of it.
    if (!signal.aborted) throw error;
  } finally {
    await staged?.remove();
  }
  reporter.evaluationEnded((performance.now() - begin) / 1000);
}

interface Building {
  readonly evaluating: Evaluating;
  readonly context: CommandContext;
  readonly settings: RunSettings;
  readonly nix: LocalNix;
  readonly slots: number;
  readonly journal: Journal;
  readonly reporter: RunReporter;
  readonly tails: LogTails;
  readonly proveSandbox: FoundNix['proveSandbox'];
}

/** Evaluates, and builds what was found while the evaluation goes on. */
async function build(work: Building): Promise<void> {
  const { context, settings, nix, slots, evaluating } = work;
  const { layout, access, environment: env, programs } = nix;
  const store = openLocalStore({ nix, logger: context.log, maxLogBytes: settings.maxLogBytes });
  const texts = createTextWriter({ access, nixDaemon: programs['nix-daemon'], env });
  const derivations = createPendingDerivations(texts);
  const builder = createLocalBuilder({ store, nix, name: 'local', slots, maxLogBytes: settings.maxLogBytes });
  const warm = openEarly(store, texts);
  // Beside the evaluation; builds wait for it.
  const proven = unlessAborted(work.proveSandbox({ store, texts }), evaluating.signal);
  proven.catch(() => {});
  const given = new AbortController();
  const signal = AbortSignal.any([evaluating.signal, given.signal]);
  const reader = readInBatches(evaluationEvents({ ...evaluating, signal }, derivations));
  try {
    await runLocally({
      planner: held(createMissingPlanner({ store, layout, derivations, withTexts: takesTexts(nix) }), proven),
      derivations,
      builder,
      wishes: wishesOf(reader.batches),
      timeoutSeconds: settings.timeoutSeconds,
      maxSilentSeconds: settings.maxSilentSeconds,
      signal: context.interruption.signal,
      onEvent: (event) => tellBuild(work, event),
    });
    await proven;
  } finally {
    given.abort();
    await reader.ended;
    await warm;
    await texts.close();
    await builder.close();
    derivations.close();
  }
}

/** Whoever has broken it off is not told that it failed. */
function unlessAborted(proof: Promise<void>, signal: AbortSignal): Promise<void> {
  return proof.catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

/** A planner whose plans, if there is something to build, wait for what builds need. */
function held(planner: MissingPlanner, need: Promise<void>): MissingPlanner {
  return {
    plan: async (wishes) => {
      const plan = await planner.plan(wishes);
      if (plan.wanted.length > 0) await need;
      return plan;
    },
  };
}

/**
 * Whether Nix may be told of derivations instead of being made to find them in its store, which takes
 * it half as long for small ones. Builds that it is told of never go to the machines of its own.
 */
function takesTexts({ access, buildHook }: LocalNix): boolean {
  return isTrusted(access) && buildHook !== undefined;
}

/**
 * Connects while the evaluator starts: to plan, to write derivations and for the first builds. A
 * daemon takes as long to start as a small build, and they would be waited for one after the other.
 */
async function openEarly(store: NixStore, texts: TextWriter): Promise<void> {
  // Whoever needs one that could not be opened tries again, and tells.
  await Promise.allSettled([store.ping(), store.ping(), texts.addTexts([])]);
}

function tellBuild({ journal, reporter, tails }: Building, event: LocalRunEvent): void {
  if (event.type === 'log') tails.add(event.drvPath, event.line);
  if (event.type === 'planned') {
    reporter.building(
      event,
      event.cached.flatMap((drvPath) => journal.wasThere(drvPath)),
    );
  } else if (event.type === 'finished') {
    const results = journal.ended(event);
    // The jobs that have asked meanwhile may have got their result with the first end.
    if (!event.again || results.length > 0) reporter.building(event, results);
    if (event.state === 'succeeded') tails.forget(event.drvPath);
  } else reporter.building(event, []);
}

async function* wishesOf(
  batches: AsyncIterable<readonly EvaluationEvent[]>,
): AsyncGenerator<readonly BuildWish[]> {
  for await (const events of batches) {
    yield events.flatMap((event) => {
      if (event.type !== 'job') return [];
      const { drvPath, mark, limits } = event;
      // Effects change the world; only the server runs them.
      const itself = mark !== 'dependencies-only' && mark !== 'effect';
      return [{ drvPath, itself, ...(limits && { limits }) }];
    });
  }
}

function summarise(journal: Journal, built: boolean, interrupted: boolean, seconds: number): RunSummary {
  const counts = journal.counts();
  const evaluated = counts.errors === 0 && !(interrupted && counts.jobs === 0);
  return {
    evaluation: evaluated ? 'succeeded' : 'failed',
    counts,
    seconds,
    built,
    interrupted,
    good: evaluated && counts.bad === 0 && !interrupted,
  };
}
