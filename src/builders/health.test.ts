import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { OperatorError, silentLogger } from '../basics/index.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { beginSession, findAgentByToken } from './agents/records.ts';
import { changeBuilder, removeBuilder } from './change.ts';
import { type BuilderHealth, createBuilderHealth, restMs } from './health.ts';
import { addBuilder } from './registration.ts';
import { registerBuilder } from './registry.ts';
import type { Builder } from './types.ts';

let database: TestDatabase;
let builder: Builder;
let health: BuilderHealth;
/** What the machine answers to a probe. */
let probe: () => Promise<void>;
let recovered: () => void = () => {};

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  const description = {
    name: 'far',
    kind: 'agent' as const,
    systems: ['x86_64-linux'],
    features: [],
    mandatoryFeatures: [],
    slots: 1,
    speed: 1,
    trustDomains: ['trusted'],
  };
  const { id } = await registerBuilder(database.knex, description);
  probe = async () => {};
  builder = {
    ...description,
    id,
    accepting: true,
    probe: () => probe(),
    attempt: () => Promise.reject(new Error('nothing is built here')),
    close: async () => {},
  };
  health = open(3600);
});
afterEach(async () => {
  health.stop();
  await removeBuilder(database.knex, 'far');
});
afterAll(() => database.drop());

test('one failure of a machine that answers is forgiven, and remembered', async () => {
  await fails('the connection broke');
  expect(health.accepts(builder)).toBe(true);
  expect(await row()).toMatchObject({ consecutive_failures: 1, last_error: 'the connection broke' });
});

test('a machine that does not answer after a failure rests, and everybody can read why', async () => {
  probe = () => Promise.reject(new Error('no route to host'));
  await fails('the connection broke');
  expect(health.accepts(builder)).toBe(false);
  const { last_error, disabled_until } = await row();
  expect(last_error).toBe('no route to host');
  expect(disabled_until.getTime()).toBeGreaterThan(Date.now());
});

test('failures in a row make it rest longer each time; a success ends the row', async () => {
  await fails('first');
  await fails('second');
  expect(health.accepts(builder)).toBe(false);
  await changeBuilder(database.knex, 'far', { enabled: true });
  await health.refresh([builder]);
  expect(health.accepts(builder)).toBe(true);
  await fails('first again');
  await succeeds();
  expect(await row()).toMatchObject({ consecutive_failures: 0, last_error: null, disabled_until: null });
  expect([1, 2, 3, 4, 5].map((failures) => restMs(failures, 60, 0.5) / 1000)).toEqual([
    60, 180, 540, 1620, 1620,
  ]);
});

test('attempts that broke together are one failure', async () => {
  const startedAt = new Date();
  await Promise.all([1, 2, 3].map(() => fails('the machine went away', startedAt)));
  expect(await row()).toMatchObject({ consecutive_failures: 1 });
});

test('a machine that answers again after its rest gets builds again', async () => {
  health.stop();
  health = open(0.01);
  let asked = 0;
  probe = async () => {
    asked += 1;
    if (asked < 3) throw new Error('still away');
  };
  const back = new Promise<void>((resolve) => {
    recovered = resolve;
  });
  await fails('away');
  expect(health.accepts(builder)).toBe(false);
  await back;
  expect(health.accepts(builder)).toBe(true);
  await expect.poll(async () => (await row()).disabled_until).toBeNull();
});

test('a machine behind ssh is asked before its first build; one that does not let us in says what to do', async () => {
  const far: Builder = { ...builder, kind: 'ssh' };
  let answer: () => void = () => {};
  probe = () =>
    new Promise((resolve) => {
      answer = resolve;
    });
  const back = new Promise<void>((resolve) => {
    recovered = resolve;
  });
  expect(health.accepts(far)).toBe(false);
  answer();
  await back;
  expect(health.accepts(far)).toBe(true);

  const next = open(3600);
  probe = () =>
    Promise.reject(new OperatorError({ code: 'no', message: 'another host key', hint: 'Compare it.' }));
  expect(next.accepts(far)).toBe(false);
  await expect.poll(async () => (await row()).last_error).toBe('another host key\nCompare it.');
  expect(next.accepts(far)).toBe(false);
  next.stop();
});

test('what an earlier process knew of a machine ends with the first success', async () => {
  await fails('the connection broke');
  const next = open(3600);
  await next.refresh([builder]);
  const startedAt = new Date(Date.now() + 1000);
  await next.heard(builder, { machineFailed: false, message: '', startedAt });
  expect(await row()).toMatchObject({ consecutive_failures: 0, last_error: null });
  next.stop();
});

test('what an operator decides holds: disabled and drained builders get nothing', async () => {
  for (const decision of [{ enabled: false }, { draining: true }]) {
    await changeBuilder(database.knex, 'far', decision);
    await health.refresh([builder]);
    expect(health.accepts(builder)).toBe(false);
    await changeBuilder(database.knex, 'far', { enabled: true });
    await health.refresh([builder]);
    expect(health.accepts(builder)).toBe(true);
  }
});

test('a process that takes over a resting builder lets it rest', async () => {
  await fails('first');
  await fails('second');
  const next = open(3600);
  await next.refresh([builder]);
  expect(next.accepts(builder)).toBe(false);
  next.stop();
});

function open(firstRestSeconds: number): BuilderHealth {
  return createBuilderHealth({
    db: database.knex,
    firstRestSeconds,
    onRecovered: () => recovered(),
    log: silentLogger(),
  });
}

/** An attempt that began after all that was heard before, unless said otherwise. */
function fails(message: string, startedAt = new Date(Date.now() + 1000)): Promise<void> {
  return health.heard(builder, { machineFailed: true, message, startedAt });
}

function succeeds(): Promise<void> {
  return health.heard(builder, {
    machineFailed: false,
    message: '',
    startedAt: new Date(Date.now() + 1000),
  });
}

function row() {
  return database.knex('builders').where({ id: builder.id }).first();
}

test('what an agent is allowed holds, also when it is said while the agent connects', async () => {
  const { knex } = database;
  const { token } = await addBuilder(knex, { name: 'dials-in' });
  const known = await findAgentByToken(knex, token ?? '');
  await changeBuilder(knex, 'dials-in', { slots: 1, systems: ['x86_64-linux'] });
  if (!known) throw new Error('its token is not known');
  const claims = { systems: ['x86_64-linux', 'aarch64-linux'], features: ['kvm'], slots: 8 };
  const about = { instanceId: 'a', machineId: 'b', version: '1' };
  const process_ = { host: 'h', boot_id: 'b', pid_namespace: 'n', pid: 1, pid_started: '1' };
  const [{ id }] = await knex('processes')
    .insert({ ...process_, roles: [], task_worker_ids: [] })
    .returning('id');
  const session = await beginSession(knex, known, { ...claims, ...about }, id);
  expect(session).toMatchObject({ slots: 1, systems: ['x86_64-linux'], features: ['kvm'] });
  await removeBuilder(knex, 'dials-in');
});
