import { describe, expect, it } from 'vitest';
import { budgets, createGovernor } from './governor.ts';

function governorAt(start: number) {
  let time = start;
  const governor = createGovernor(() => new Date(time));
  return { governor, pass: (ms: number) => (time += ms), now: () => time };
}

describe('the write budget', () => {
  it('never lets 80 calls into any minute nor 500 into any hour, however eager the sender', () => {
    const { governor, pass, now } = governorAt(0);
    const calls: number[] = [];
    for (let second = 0; second < 2 * 3600; second++) {
      while (governor.room(1, 'essential') > 0) {
        governor.spend(1);
        calls.push(now());
      }
      pass(1000);
    }
    const most = (windowMs: number) =>
      Math.max(...calls.map((from) => calls.filter((time) => time >= from && time < from + windowMs).length));
    expect(most(60_000)).toBe(budgets.essential.perMinute);
    expect(most(3_600_000)).toBe(budgets.essential.perHour);
  });

  it('keeps room for ends when progress has used its part', () => {
    const { governor } = governorAt(0);
    while (governor.room(1, 'progress') > 0) governor.spend(1);
    expect(governor.room(1, 'result')).toBe(budgets.result.perMinute - budgets.progress.perMinute);
    expect(governor.room(1, 'essential')).toBeGreaterThan(governor.room(1, 'result'));
  });

  it('says when there is room again', () => {
    const { governor, pass, now } = governorAt(1_000_000);
    while (governor.room(1, 'progress') > 0) governor.spend(1);
    const at = governor.nextRoom(1, 'progress').getTime();
    pass(at - now() - 1);
    expect(governor.room(1, 'progress')).toBe(0);
    pass(1);
    expect(governor.room(1, 'progress')).toBeGreaterThan(0);
  });

  it('is each installation’s own', () => {
    const { governor } = governorAt(0);
    while (governor.room(1, 'essential') > 0) governor.spend(1);
    expect(governor.room(2, 'essential')).toBe(budgets.essential.perMinute);
  });
});
