import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { type Builder, createBuilderFleet, createLocalBuilder } from '../builders/index.ts';
import { realPath } from '../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { registerProcess } from '../postgres/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { claimBuilds } from './claim.ts';
import { type Dispatcher, startDispatcher } from './dispatcher.ts';
import { enqueueBuilds } from './enqueue.ts';
import { releaseAttempts } from './leases.ts';

const log = silentLogger();
const graceMs = 10_000;
const fleet = createBuilderFleet();

let database: TestDatabase;
let nix: TestNix;
let builder: Builder;
let processId: number;
let dispatcher: Dispatcher | undefined;
let nonce = 0;

beforeAll(async () => {
  const [under] = nixesUnderTest;
  if (!under) throw new Error('there is no Nix');
  [database, nix] = await Promise.all([createTestDatabase(), openTestNix(under)]);
  const registration = await registerProcess(database, { roles: [], taskWorkerIds: [], log });
  processId = registration.id;
  const [row] = await database
    .knex('builders')
    .insert({
      name: 'here',
      kind: 'local',
      systems: [nix.nix.system],
      features: [...nix.nix.systemFeatures],
      slots: 2,
      process_id: processId,
    })
    .returning('id');
  const store = nix.openStore();
  builder = createLocalBuilder({ id: row.id, store, nix: nix.nix, name: 'here', slots: 2 });
  fleet.add(builder);
});
beforeEach(() => database.knex.raw('TRUNCATE builds, attempts, build_inputs CASCADE'));
afterEach(() => dispatcher?.stop(graceMs));
afterAll(async () => {
  await builder?.close();
  await nix?.close();
  await database?.drop();
});

test('a build that was claimed but never begun, because the answer was lost, is built all the same', async () => {
  await enqueue('echo > $out');
  await database.knex.transaction((trx) =>
    claimBuilds(trx, { builders: [{ ...builder, free: 1 }], processId }),
  );
  dispatcher = start();
  await expect.poll(states).toEqual(['succeeded']);
  expect(await attempts()).toEqual(['lost', 'ended']);
});

test('a build that was given to others while it ran here is stopped here', async () => {
  await enqueue('echo begun; read x < /dev/zero; echo > $out');
  dispatcher = start();
  await expect.poll(logBytes).toBeGreaterThan(0);
  // Others take it, and keep it.
  await database.knex.transaction((trx) => releaseAttempts(trx, [processId]));
  await database.knex('builds').update({ not_before: new Date(Date.now() + 3_600_000) });
  await expect.poll(() => dispatcher?.running).toBe(0);
  expect(await states()).toEqual(['queued']);
  expect(await attempts()).toEqual(['lost']);
});

test('a dispatcher that is stopped while it claims leaves nothing behind', async () => {
  for (let round = 0; round < 10; round += 1) {
    await enqueue('echo > $out');
    const stopped = start();
    // Somewhere between the beginning of the first claim and the first attempt.
    for (let turn = 0; turn < round * 20; turn += 1) await new Promise(setImmediate);
    await stopped.stop(0);
    expect(stopped.running).toBe(0);
    expect(await states()).not.toContain('building');
    expect(await attempts()).not.toContain('running');
  }
});

test('a build that takes longer than a stopping server waits is queued again and says why', async () => {
  await enqueue('echo begun; read x < /dev/zero; echo > $out');
  const stopped = start();
  await expect.poll(logBytes).toBeGreaterThan(0);
  await stopped.stop(0);
  expect(await states()).toEqual(['queued']);
  expect(await database.knex('attempts').pluck('message')).toEqual(['The server was stopped.']);
});

test('a build goes to its builder with all that it needs to know, which is forgotten when it has ended', async () => {
  const drvPath = await nix.derivation('echo > $out', 'told = true;');
  const wanted = { name: 'told', system: nix.nix.system, requiredFeatures: [], outputs: {}, inputs: [] };
  const derivation = await readFile(realPath(nix.nix.layout, drvPath));
  await nix.run('nix-store', ['--delete', '--ignore-liveness', drvPath]);
  await database.knex.transaction((trx) =>
    enqueueBuilds(trx, [{ ...wanted, drvPath, inputsOnly: false, derivation }]),
  );
  dispatcher = start();
  await expect.poll(states).toEqual(['succeeded']);
  expect(await database.knex('build_derivations')).toEqual([]);
});

function start(): Dispatcher {
  return startDispatcher({
    db: database.knex,
    fleet,
    processId,
    timeoutSeconds: 60,
    maxSilentSeconds: 0,
    onBuildsChanged: async () => {},
    log,
  });
}

async function enqueue(script: string): Promise<void> {
  nonce += 1;
  const drvPath = await nix.derivation(script, `nonce = "${nonce}";`);
  const name = `build-${nonce}`;
  const { system } = nix.nix;
  await database.knex.transaction((trx) =>
    enqueueBuilds(trx, [
      { drvPath, name, system, requiredFeatures: [], outputs: {}, inputsOnly: false, inputs: [] },
    ]),
  );
}

function states(): Promise<string[]> {
  return database.knex('builds').orderBy('id').pluck('state');
}

function attempts(): Promise<string[]> {
  return database.knex('attempts').orderBy('id').pluck('state');
}

async function logBytes(): Promise<number> {
  const [bytes] = await database.knex('attempts').pluck('log_bytes');
  return bytes ?? 0;
}
