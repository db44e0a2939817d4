/** The build queue for tests: a database with one builder, and short words for what happens to builds. */
import type { Knex } from 'knex';
import type { AttemptResult, AttemptStatus } from '../builders/index.ts';
import { createTestDatabase, type TestServer } from '../postgres/test-database.ts';
import { claimBuilds } from './claim.ts';
import { completeAttempt } from './complete.ts';
import { type EnqueuedBuilds, enqueueBuilds } from './enqueue.ts';
import type { WantedBuild } from './wanted.ts';

const testBuilder = {
  name: 'local',
  systems: ['x86_64-linux'],
  features: ['kvm'],
  mandatoryFeatures: [],
  trustDomains: ['trusted'],
  slots: 100,
  speed: 1,
};

export interface TestQueue {
  readonly knex: Knex;
  readonly processId: number;
  readonly builderId: number;
  enqueue(builds: readonly WantedBuild[]): Promise<EnqueuedBuilds>;
  /** Names of the builds that were claimed, here and below. */
  claim(count: number, leased?: boolean): Promise<string[]>;
  claimAll(leased?: boolean): Promise<string[]>;
  addBuilder(name: string): Promise<number>;
  claimOn(builderId: number): Promise<string[]>;
  attemptOf(name: string): Promise<Attempt>;
  /** Names of the builds that ended with it. */
  end(name: string, status: AttemptStatus, message?: string): Promise<string[]>;
  complete(attempt: Attempt, status: AttemptStatus, message?: string): Promise<string[]>;
  states(): Promise<Record<string, string>>;
  drop(): Promise<void>;
}

export interface Attempt {
  readonly attemptId: number;
  readonly buildId: number;
}

export async function openTestQueue(server?: TestServer): Promise<TestQueue> {
  const database = await createTestDatabase(server);
  const [row] = await database
    .knex('processes')
    .insert({
      host: 'test',
      boot_id: 'b',
      pid_namespace: 'n',
      pid: 1,
      pid_started: '1',
      roles: [],
      task_worker_ids: [],
    })
    .returning('id');
  const processId = row.id;
  const [inserted] = await database
    .knex('builders')
    .insert({
      name: 'local',
      kind: 'local',
      systems: testBuilder.systems,
      features: testBuilder.features,
      slots: 2,
      process_id: processId,
    })
    .returning('id');
  const builderId = inserted.id;
  return {
    knex: database.knex,
    processId,
    builderId,
    enqueue,
    claim,
    claimAll,
    addBuilder,
    claimOn,
    attemptOf,
    end,
    complete,
    states,
    drop: () => database.drop(),
  };

  async function addBuilder(name: string): Promise<number> {
    const [row] = await database
      .knex('builders')
      .insert({ name, kind: 'local', systems: testBuilder.systems, slots: 1, process_id: processId })
      .returning('id');
    return row.id;
  }

  async function claimOn(id: number): Promise<string[]> {
    const builders = [{ ...testBuilder, id, name: 'other', free: 1 }];
    const claim = await database.knex.transaction((trx) => claimBuilds(trx, { builders, processId }));
    return claim.builds.map((build) => build.name);
  }

  async function enqueue(builds: readonly WantedBuild[]) {
    return database.knex.transaction((trx) => enqueueBuilds(trx, builds));
  }

  async function claim(count: number, leased = false): Promise<string[]> {
    const builders = [{ ...testBuilder, id: builderId, free: count, leased }];
    const claim = await database.knex.transaction((trx) => claimBuilds(trx, { builders, processId }));
    return claim.builds.map((build) => build.name);
  }

  function claimAll(leased = false): Promise<string[]> {
    return claim(100, leased);
  }

  async function attemptOf(name: string): Promise<Attempt> {
    const row = await database
      .knex('attempts')
      .join('builds', 'builds.id', 'attempts.build_id')
      .where({ 'builds.name': name, 'attempts.state': 'running' })
      .first('attempts.id', 'build_id');
    return { attemptId: row.id, buildId: row.build_id };
  }

  async function end(name: string, status: AttemptStatus, message = ''): Promise<string[]> {
    return complete(await attemptOf(name), status, message);
  }

  async function complete(attempt: Attempt, status: AttemptStatus, message = ''): Promise<string[]> {
    const ended: number[] = [];
    await database.knex.transaction((trx) =>
      completeAttempt(trx, attempt, { ...resultOf(status), message }, async (_, ids) => {
        ended.push(...ids);
      }),
    );
    return database.knex('builds').whereIn('id', ended).pluck('name');
  }

  async function states(): Promise<Record<string, string>> {
    const rows = await database.knex('builds').select('name', 'state').orderBy('id');
    return Object.fromEntries(rows.map((row) => [row.name, row.state]));
  }
}

export function resultOf(status: AttemptStatus): AttemptResult {
  const now = new Date();
  return { status, message: '', outputs: {}, startedAt: now, finishedAt: now };
}

export function drv(name: string): string {
  return `/nix/store/${name}.drv`;
}

export function wanted(name: string, inputs: readonly string[] = []): WantedBuild {
  return {
    drvPath: drv(name),
    name,
    system: 'x86_64-linux',
    requiredFeatures: [],
    inputsOnly: false,
    outputs: { out: `/nix/store/${name}` },
    inputs: inputs.map(drv),
  };
}
