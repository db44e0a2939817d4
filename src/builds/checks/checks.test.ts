import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../basics/index.ts';
import { type Builder, createBuilderFleet, createLocalBuilder } from '../../builders/index.ts';
import { readDerivation } from '../../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../nix/test-nix.ts';
import { registerProcess } from '../../postgres/index.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { type Dispatcher, startDispatcher } from '../dispatcher.ts';
import { enqueueBuilds } from '../enqueue.ts';
import { askForCheck, cancelCheck } from './ask.ts';
import { listChecks } from './read.ts';

const log = silentLogger();

describe.each(nixesUnderTest)('a build that is built again to compare, with $name', (under) => {
  /** What does not depend on Nix's version is tested once. */
  const once = test.runIf(under === nixesUnderTest.at(-1));
  let database: TestDatabase;
  let it: TestNix;
  let builder: Builder;
  /** Builds see it as /meet. */
  let meet: string;
  let processId: number;
  let dispatcher: Dispatcher | undefined;
  const fleet = createBuilderFleet();

  beforeAll(async () => {
    [database, it] = await Promise.all([createTestDatabase(), openTestNix(under)]);
    processId = (await registerProcess(database, { roles: [], taskWorkerIds: [], log })).id;
    const [row] = await database
      .knex('builders')
      .insert({ name: 'here', kind: 'local', systems: [it.nix.system], slots: 2, process_id: processId })
      .returning('id');
    meet = join(it.folder, 'meet');
    await mkdir(meet);
    const store = it.openStore({ overrides: { 'sandbox-paths': `/bin/sh=/bin/busybox /meet=${meet}` } });
    builder = createLocalBuilder({ id: row.id, store, nix: it.nix, name: 'here', slots: 2 });
    fleet.add(builder);
  });
  beforeEach(() => database.knex.raw('TRUNCATE builds, attempts, build_checks CASCADE'));
  afterEach(async () => {
    await dispatcher?.stop(10_000);
    dispatcher = undefined;
  });
  afterAll(async () => {
    await builder?.close();
    await it?.close();
    await database?.drop();
  });

  test('tells whether the same came out, names the output that differs, and leaves the build as it is', async () => {
    const same = await built('echo same > $out; echo > $dev', 'outputs = [ "out" "dev" ];');
    const random = 'cat /proc/sys/kernel/random/uuid > $dev; echo > $out';
    const differs = await built(random, 'outputs = [ "out" "dev" ];');
    const before = await database.knex('builds').orderBy('id');
    for (const id of [same, differs]) expect(await ask(id)).toMatchObject({ kind: 'asked' });
    await expect.poll(() => statesOf(same)).toEqual(['reproduced']);
    await expect.poll(() => statesOf(differs)).toEqual(['non-deterministic']);
    const [check] = await listChecks(database.knex, differs);
    expect(check?.message).toMatch(/^The output dev differs\.\n.*may not be deterministic/);
    expect(check).toMatchObject({ askedBy: 'me', builder: 'here', attemptId: expect.any(Number) });
    expect(await database.knex('builds').orderBy('id')).toEqual(before);
  });

  once('says so where its outputs are gone, and the machine is not blamed', async () => {
    const gone = await enqueue('echo gone > $out');
    await database.knex('builds').update({ state: 'succeeded', finished_at: new Date() });
    await ask(gone);
    dispatcher = start();
    await expect.poll(() => statesOf(gone)).toEqual(['not-possible']);
    expect((await listChecks(database.knex, gone))[0]?.message).toMatch(/checking is not possible/);
    expect(await database.knex('builders').first()).toMatchObject({ consecutive_failures: 0 });
  });

  once('is begun anew by the next server when one ends, and can be called off while it builds', async () => {
    const id = await built('test -e /meet/again && sleep 600; echo > $out');
    await writeFile(join(meet, 'again'), '');
    await ask(id);
    await expect.poll(() => statesOf(id)).toEqual(['building']);
    await dispatcher?.stop(0);
    expect(await statesOf(id)).toEqual(['waiting']);
    dispatcher = start();
    await expect.poll(() => statesOf(id)).toEqual(['building']);
    expect(await database.knex.transaction((trx) => cancelCheck(trx, id))).toBe(true);
    dispatcher.stopCancelled();
    await expect.poll(() => dispatcher?.running).toBe(0);
    expect(await statesOf(id)).toEqual(['cancelled']);
    expect(await stateOf(id)).toBe('succeeded');
  });

  once('is what the setting asks for of all that was built', async () => {
    dispatcher = start(100);
    const id = await enqueue('echo sampled > $out');
    await expect.poll(() => statesOf(id)).toEqual(['reproduced']);
  });

  once('is refused for what has nothing to compare', async () => {
    const bad = await enqueue('exit 3');
    dispatcher = start();
    await expect.poll(() => stateOf(bad)).toBe('failed');
    expect(await ask(bad)).toEqual({ kind: 'bad-end' });
    expect(await ask(0)).toEqual({ kind: 'unknown' });
  });

  function start(checkPercent = 0): Dispatcher {
    return startDispatcher({
      ...{ db: database.knex, fleet, processId, log, checkPercent },
      timeoutSeconds: 60,
      maxSilentSeconds: 0,
      onBuildsChanged: async () => {},
    });
  }

  async function ask(id: number) {
    const asked = await database.knex.transaction((trx) => askForCheck(trx, id, 'me'));
    dispatcher?.wake();
    return asked;
  }

  async function enqueue(script: string, attributes = ''): Promise<number> {
    const drvPath = await it.derivation(script, attributes);
    const { outputs } = await readDerivation(it.nix.layout, drvPath);
    const wanted = { drvPath, name: 'test', system: it.nix.system, requiredFeatures: [], inputs: [] };
    const paths = Object.fromEntries([...outputs].map(([name, { path }]) => [name, path ?? null]));
    await database.knex.transaction((trx) =>
      enqueueBuilds(trx, [{ ...wanted, inputsOnly: false, outputs: paths }]),
    );
    dispatcher?.wake();
    const [id] = await database.knex('builds').where({ drv_path: drvPath }).pluck('id');
    return id;
  }

  async function built(script: string, attributes = ''): Promise<number> {
    dispatcher ??= start();
    const id = await enqueue(script, attributes);
    await expect.poll(() => stateOf(id)).toBe('succeeded');
    return id;
  }

  async function stateOf(id: number): Promise<string> {
    return (await database.knex('builds').where({ id }).first()).state;
  }

  async function statesOf(id: number): Promise<readonly string[]> {
    return (await listChecks(database.knex, id)).map((check) => check.state);
  }
});
