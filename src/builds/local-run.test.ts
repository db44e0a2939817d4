import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProcess, silentLogger } from '../basics/index.ts';
import { type Builder, createLocalBuilder } from '../builders/index.ts';
import {
  createPendingDerivations,
  createTextWriter,
  detectNix,
  type LocalNix,
  type NixStore,
  openLocalStore,
  readDerivation,
  realPath,
} from '../nix/index.ts';
import { type LocalBuildFinished, type LocalRunEvent, runLocally } from './local-run.ts';
import { type BuildWish, createMissingPlanner } from './missing.ts';
import type { DerivationTexts } from './wanted.ts';

let folder: string;
let nix: LocalNix;
let store: NixStore;

beforeAll(async () => {
  folder = await mkdtemp('/var/tmp/ringmaster-local-run-');
  const home = join(folder, 'home');
  await mkdir(home);
  nix = await detectNix(process.env, {
    home,
    sandbox: 'required',
    store: join(folder, 'store'),
    config: 'substituters =',
  });
  store = openLocalStore({ nix, logger: silentLogger() });
});
afterAll(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** Derivations by name; the expression may use `sh NAME SCRIPT INPUTS` and is an attribute set of them. */
async function derivations(expression: string): Promise<ReadonlyMap<string, string>> {
  const text = `let sh = name: script: inputs: derivation {
      inherit name inputs; unique = "${randomUUID()}"; system = "${nix.system}";
      builder = "/bin/sh"; args = [ "-c" script ];
    }; in ${expression}`;
  const asked = await runProcess(nix.programs['nix-instantiate'], ['--expr', text], { env: nix.environment });
  expect(asked.stderr.replace(/^warning: .*\n/gm, '')).toBe('');
  const paths = asked.stdout.trim().split('\n');
  return new Map(paths.map((path) => [path.replace(/^.*\/[^-]*-(.*)\.drv$/, '$1'), path]));
}

const nixDaemon = () => ({
  access: nix.access,
  nixDaemon: nix.programs['nix-daemon'],
  env: nix.environment,
});

/** Texts and references of derivations that are in no store; an expression as for `derivations`. */
async function onlyTexts(expression: string) {
  const paths = [...(await derivations(expression)).values()];
  const texts = await Promise.all(
    paths.map(async (path) => {
      const { inputDerivations, inputSources } = await readDerivation(nix.layout, path);
      const content = await readFile(realPath(nix.layout, path));
      return [path, { content, references: [...inputDerivations.keys(), ...inputSources] }] as const;
    }),
  );
  await runProcess(nix.programs['nix-store'], ['--delete', ...paths], { env: nix.environment });
  expect(await store.queryValidPaths(paths)).toEqual(new Set());
  return new Map(texts);
}

interface Outcome {
  readonly events: readonly LocalRunEvent[];
  readonly ends: ReadonlyMap<string, LocalBuildFinished>;
  readonly started: readonly string[];
}

async function runAll(
  wishes: readonly BuildWish[],
  options: {
    readonly slots?: number;
    readonly parts?: AsyncIterable<readonly BuildWish[]>;
    readonly signal?: AbortSignal;
    readonly onEvent?: (event: LocalRunEvent) => void;
    readonly wrap?: (builder: Builder) => Builder;
    readonly derivations?: DerivationTexts;
  } = {},
): Promise<Outcome> {
  const events: LocalRunEvent[] = [];
  const builder = createLocalBuilder({ store, nix, name: 'local', slots: options.slots ?? 2 });
  const { derivations } = options;
  await runLocally({
    planner: createMissingPlanner({ store, layout: nix.layout, derivations, withTexts: true }),
    ...(derivations && { derivations }),
    builder: options.wrap?.(builder) ?? builder,
    wishes: options.parts ?? [wishes],
    timeoutSeconds: 120,
    maxSilentSeconds: 120,
    signal: options.signal ?? new AbortController().signal,
    onEvent: (event) => {
      events.push(event);
      options.onEvent?.(event);
    },
    retryDelayMs: 1,
  });
  return {
    events,
    ends: new Map(events.flatMap((event) => (event.type === 'finished' ? [[event.drvPath, event]] : []))),
    started: events.flatMap((event) => (event.type === 'started' ? [event.drvPath] : [])),
  };
}

const itself = (drvPath: string | undefined): BuildWish => ({ drvPath: drvPath ?? '', itself: true });

describe('a local run', () => {
  it('starts the long chain first, and every build after its inputs', async () => {
    const all = await derivations(`rec {
      alone = sh "alone" "echo > $out" []; first = sh "first" "echo > $out" [];
      second = sh "second" "echo > $out" [ first ]; third = sh "third" "echo > $out" [ second ];
    }`);
    const { started, ends } = await runAll([...all.values()].map(itself), { slots: 1 });
    const names = new Map([...all].map(([name, path]) => [path, name]));
    expect(started.map((path) => names.get(path))).toEqual(['first', 'second', 'alone', 'third']);
    expect([...ends.values()].map((end) => end.state)).toEqual(Array(4).fill('succeeded'));
  });

  it('builds inputs that nobody asked for, and only inputs where that is the wish', async () => {
    const all = await derivations(
      `let input = sh "input" "echo made > $out" []; in { top = sh "top" "exit 1" [ input ]; }`,
    );
    const top = all.get('top') ?? '';
    const { started, ends } = await runAll([{ drvPath: top, itself: false }]);
    expect(started).toHaveLength(1);
    expect(started[0]).toMatch(/-input\.drv$/);
    expect(ends.get(top)).toMatchObject({ state: 'succeeded', outputs: {} });
  });

  it('says what was there already before it starts anything', async () => {
    const all = await derivations('{ a = sh "a" "echo > $out" []; }');
    const wishes = [...all.values()].map(itself);
    await runAll(wishes);
    const { events } = await runAll(wishes);
    expect(events).toEqual([
      { type: 'planned', cached: [...all.values()], toBuild: 0, complete: false },
      { type: 'planned', cached: [], toBuild: 0, complete: true },
    ]);
  });

  it('builds the first part while the second is not known yet, and each derivation once', async () => {
    const all = await derivations(`rec {
      bad = sh "bad-base" "exit 1" []; first = sh "first-part" "echo > $out" [];
      top = sh "on-both" "echo > $out" [ first bad ]; }`);
    const path = (name: string) => all.get(name) ?? '';
    let firstEnded = () => {};
    const ended = new Promise<void>((resolve) => {
      firstEnded = resolve;
    });
    async function* parts() {
      yield [itself(path('first-part')), itself(path('bad-base'))];
      await ended;
      yield [itself(path('on-both')), itself(path('first-part'))];
    }
    let ends = 0;
    const { events, started } = await runAll([], {
      parts: parts(),
      onEvent: (event) => {
        if (event.type !== 'finished') return;
        ends += 1;
        if (ends === 2) firstEnded();
      },
    });
    expect([...started].sort()).toEqual([path('first-part'), path('bad-base')].sort());
    const finished = events.flatMap((event) => (event.type === 'finished' ? [event] : []));
    expect(finished.slice(2).map(({ drvPath, state, again }) => [drvPath, state, again ?? false])).toEqual([
      [path('first-part'), 'succeeded', true],
      [path('on-both'), 'dependency-failed', false],
    ]);
    expect(finished.at(-1)?.culprit).toBe(path('bad-base'));
  });

  it('does not wait for derivations to be written, but writes them', async () => {
    const all = await onlyTexts(
      'rec { low = sh "low" "echo > $out" []; high = sh "high" "read x < $inputs; echo > $out" [ low ]; }',
    );
    const writer = createTextWriter(nixDaemon());
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const derivations = createPendingDerivations({
      addTexts: (texts) => released.then(() => writer.addTexts(texts)),
    });
    for (const [path, { content, references }] of all) derivations.add(path, content, references);
    const { ends } = await runAll([...all.keys()].map(itself), {
      derivations,
      // Never before the last build has ended.
      onEvent: (event) => event.type === 'finished' && event.drvPath.endsWith('-high.drv') && release(),
    });
    expect([...ends.values()].map((end) => end.state)).toEqual(['succeeded', 'succeeded']);
    expect(await store.queryValidPaths([...all.keys()])).toEqual(new Set(all.keys()));
    await writer.close();
    derivations.close();
  });

  it('fails when the store does not take a derivation, though its build has begun', async () => {
    const all = await onlyTexts('{ unwritten = sh "unwritten" "echo > $out" []; }');
    const refusal = new Error('the store is full of derivations');
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const derivations = createPendingDerivations({
      addTexts: () => begun.then(() => Promise.reject(refusal)),
    });
    for (const [path, { content, references }] of all) derivations.add(path, content, references);
    let end = (_: LocalRunEvent) => {};
    const ended = new Promise<LocalRunEvent>((resolve) => {
      end = resolve;
    });
    const run = runAll([...all.keys()].map(itself), {
      derivations,
      onEvent: (event) => {
        if (event.type === 'started') begin();
        if (event.type === 'finished') end(event);
      },
    });
    await expect(run).rejects.toThrow(refusal.message);
    expect(await ended).toMatchObject({ state: 'succeeded' });
    derivations.close();
  });

  it('names the first failure for everything above it, and builds the rest', async () => {
    const all = await derivations(`rec {
      bad = sh "bad" "echo no; exit 7" []; middle = sh "middle" "echo > $out" [ bad ];
      top = sh "top" "echo > $out" [ middle ]; good = sh "good" "echo > $out" [];
    }`);
    const { ends } = await runAll([...all.values()].map(itself));
    const end = (name: string) => ends.get(all.get(name) ?? '');
    expect(end('bad')).toMatchObject({ state: 'failed', message: expect.stringContaining('exit code 7') });
    expect(end('middle')).toMatchObject({ state: 'dependency-failed', culprit: all.get('bad') });
    expect(end('top')).toMatchObject({ state: 'dependency-failed', culprit: all.get('bad') });
    expect(end('good')).toMatchObject({ state: 'succeeded' });
  });

  it('tries again after trouble of the machine, and gives up after five times', async () => {
    const all = await derivations(
      '{ lucky = sh "lucky" "echo > $out" []; cursed = sh "cursed" "echo > $out" []; }',
    );
    const lucky = all.get('lucky') ?? '';
    let troubles = 0;
    const unreliable = (builder: Builder): Builder => ({
      ...builder,
      async attempt(request) {
        if (request.drvPath === lucky && troubles === 2) return builder.attempt(request);
        if (request.drvPath === lucky) troubles += 1;
        const now = new Date();
        return {
          status: 'infrastructure',
          message: 'the lights went out',
          outputs: {},
          startedAt: now,
          finishedAt: now,
        };
      },
    });
    const { ends, started, events } = await runAll([...all.values()].map(itself), { wrap: unreliable });
    expect(ends.get(lucky)).toMatchObject({ state: 'succeeded' });
    expect(started.filter((path) => path === lucky)).toHaveLength(3);
    expect(ends.get(all.get('cursed') ?? '')).toMatchObject({
      state: 'builder-lost',
      message: 'the lights went out',
    });
    expect(started.filter((path) => path === all.get('cursed'))).toHaveLength(5);
    expect(events).toContainEqual(expect.objectContaining({ type: 'retrying', drvPath: lucky }));
  });

  it('gives every build an end when it is cancelled, and starts nothing more', async () => {
    const all = await derivations(`rec {
      slow = sh "slow" "echo asleep; sleep 1000" []; after = sh "after" "echo > $out" [ slow ];
    }`);
    const controller = new AbortController();
    const { ends, started } = await runAll([...all.values()].map(itself), {
      signal: controller.signal,
      onEvent: (event) => event.type === 'log' && controller.abort(),
    });
    expect(started).toEqual([all.get('slow')]);
    expect([...ends.values()].map((end) => end.state)).toEqual(['cancelled', 'cancelled']);
  });
});
