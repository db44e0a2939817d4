import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { budgets, createGovernor, type Governor, type Urgency } from './governor.ts';

let database: TestDatabase;
let time: Date;

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  time = new Date(1_000_000_000_000);
  await database.knex('github_writes').delete();
  await database.knex('installations').delete();
  await database.knex('installations').insert([
    { id: 1, account_login: 'acme' },
    { id: 2, account_login: 'umbrella' },
  ]);
});
afterAll(() => database.drop());

/** As a process of its own has it. */
const newGovernor = () => createGovernor(database.knex, () => time);

const pass = (ms: number) => {
  time = new Date(time.getTime() + ms);
};

/** Takes everything there is for an urgency; returns how much that was. */
const takeAll = async (governor: Governor, urgency: Urgency, installation = 1) =>
  (await governor.take(installation, (room) => room[urgency])).writes;

describe('the write budget', () => {
  it('never lets 80 calls into any minute nor 500 into any hour, however eager the senders', async () => {
    const calls: number[] = [];
    for (let round = 0; round < 120; round++) {
      // Each round is a start of the program that remembers nothing.
      const writes = await takeAll(newGovernor(), 'essential');
      for (let call = 0; call < writes; call++) calls.push(time.getTime());
      pass(59_000);
    }
    const most = (windowMs: number) =>
      Math.max(...calls.map((from) => calls.filter((at) => at >= from && at < from + windowMs).length));
    expect(most(60_000)).toBe(budgets.essential.perMinute);
    expect(most(3_600_000)).toBe(budgets.essential.perHour);
  });

  it('is one for all processes, also for those that take at the same instant', async () => {
    const takes = Array.from({ length: 12 }, () =>
      newGovernor().take(1, (room) => Math.min(8, room.essential)),
    );
    const writes = (await Promise.all(takes)).reduce((sum, allowance) => sum + allowance.writes, 0);
    expect(writes).toBe(budgets.essential.perMinute);
  });

  it('keeps room for ends when progress has used its part', async () => {
    const governor = newGovernor();
    await takeAll(governor, 'progress');
    await governor.take(1, (room) => {
      expect(room.progress).toBe(0);
      expect(room.result).toBe(budgets.result.perMinute - budgets.progress.perMinute);
      expect(room.essential).toBeGreaterThan(room.result);
      return 0;
    });
  });

  it('says when there is room again', async () => {
    const governor = newGovernor();
    await takeAll(governor, 'progress');
    pass(1000);
    const { nextRoom } = await governor.take(1, () => 0);
    pass(nextRoom('progress').getTime() - time.getTime() - 1);
    expect(await takeAll(governor, 'progress')).toBe(0);
    pass(1);
    expect(await takeAll(governor, 'progress')).toBeGreaterThan(0);
  });

  it('has again what was not used after all', async () => {
    const governor = newGovernor();
    const allowance = await governor.take(1, () => 20);
    await allowance.giveBack(15);
    expect(await takeAll(governor, 'progress')).toBe(15);
  });

  it('is each installation’s own', async () => {
    const governor = newGovernor();
    await takeAll(governor, 'essential');
    expect(await takeAll(governor, 'essential', 2)).toBe(budgets.essential.perMinute);
  });

  it('keeps one row a batch, and none that no longer counts', async () => {
    const governor = newGovernor();
    await governor.take(1, () => 8);
    pass(3_600_000);
    await governor.take(1, () => 8);
    const rows: unknown = await database.knex('github_writes').select('writes');
    expect(rows).toEqual([{ writes: 8 }]);
  });
});
