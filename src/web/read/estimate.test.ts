import { expect, test } from 'vitest';
import { type OpenLane, type OpenMachine, remainingOf } from './estimate.ts';

const minute = 60_000;
const lane = (more: Partial<OpenLane> = {}): OpenLane => ({
  trust_domain: 'trusted',
  system: 'x86_64-linux',
  required_features: [],
  builds: 4,
  known: 4,
  work_ms: 8 * minute,
  longest_ms: minute,
  ...more,
});
const machine = (more: Partial<OpenMachine> = {}): OpenMachine => ({
  systems: ['x86_64-linux'],
  features: [],
  mandatory_features: [],
  trust_domains: ['trusted'],
  slots: 2,
  ...more,
});
const arm = { system: 'aarch64-linux' };

test('the work is shared by the slots that may take it, and by no others', () => {
  expect(remainingOf([lane()], [machine()])).toBe(4 * minute);
  const others = [
    machine({ systems: ['aarch64-linux'], slots: 64 }),
    machine({ mandatory_features: ['kvm'], slots: 64 }),
    machine({ trust_domains: ['untrusted'], slots: 64 }),
  ];
  expect(remainingOf([lane()], [machine(), ...others])).toBe(4 * minute);
});

test('the slowest system decides, and so does a feature that few builders have', () => {
  const machines = [machine({ slots: 16 }), machine({ systems: ['aarch64-linux'], slots: 1 })];
  expect(remainingOf([lane(), lane(arm)], machines)).toBe(8 * minute);
  const kvm = lane({ required_features: ['kvm'] });
  expect(remainingOf([lane(), kvm], [machine({ slots: 7 }), machine({ features: ['kvm'], slots: 1 })])).toBe(
    8 * minute,
  );
});

test('it does not end before its longest path', () => {
  expect(remainingOf([lane({ longest_ms: 30 * minute })], [machine()])).toBe(30 * minute);
});

test('nothing is invented: without a history, a builder or a build there is no estimate', () => {
  expect(remainingOf([lane({ known: 1, work_ms: minute })], [machine()])).toBeUndefined();
  expect(remainingOf([lane(arm)], [machine()])).toBeUndefined();
  expect(remainingOf([], [machine()])).toBeUndefined();
  expect(remainingOf([lane({ known: 2, work_ms: 4 * minute })], [machine()])).toBe(4 * minute);
});

test('what no builder can take now is left out', () => {
  expect(remainingOf([lane(), lane({ ...arm, longest_ms: 99 * minute })], [machine()])).toBe(4 * minute);
});
