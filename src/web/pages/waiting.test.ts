import { expect, test } from 'vitest';
import type { BuilderRow } from '../read/machines.ts';
import { type WaitingBuild, waitingReason } from './waiting.ts';

const now = new Date('2026-11-22T12:00:00Z');
const later = (minutes: number) => new Date(now.getTime() + minutes * 60_000);

const big: BuilderRow = {
  id: 1,
  name: 'big-1',
  kind: 'ssh',
  source: 'config',
  uri: null,
  systems: ['x86_64-linux'],
  features: ['kvm'],
  mandatory_features: [],
  trust_domains: ['trusted'],
  slots: 1,
  speed: 1,
  seen_at: now,
  connected: true,
  enabled: true,
  draining: false,
  consecutive_failures: 0,
  disabled_until: null,
  last_error: null,
  version: null,
  withheld: null,
  load: null,
  running: 1,
  occupied: 1,
  free_at: later(4),
};
const build: WaitingBuild = {
  state: 'queued',
  system: 'x86_64-linux',
  required_features: ['kvm'],
  trust_domain: 'trusted',
  not_before: null,
};
const reason = (builders: readonly BuilderRow[], changes: Partial<WaitingBuild> = {}) =>
  waitingReason({ ...build, ...changes }, builders, now);

test('a build waits for the only builder that can take it, and history tells how long', () => {
  expect(reason([big])).toBe('needs x86_64-linux, kvm: builder big-1 is busy, a slot in about 4 min');
  expect(reason([{ ...big, free_at: null }])).toBe('needs x86_64-linux, kvm: builder big-1 is busy');
});

test('builders that get nothing do not count, unless there are no others', () => {
  const away = { ...big, name: 'big-2', connected: false, occupied: 0 };
  expect(reason([big, away])).toContain('builder big-1 is busy');
  expect(reason([away])).toBe('needs x86_64-linux, kvm: builder big-2 is away');
  expect(reason([{ ...away, connected: true, disabled_until: later(3) }])).toContain('big-2 is resting');
});

test('what nobody can take is said, for want of a system, a feature, trust, or of what a builder is kept for', () => {
  expect(reason([big], { system: 'aarch64-darwin' })).toBe('needs aarch64-darwin, kvm: no builder has that');
  expect(reason([big], { trust_domain: 'other' })).toContain('no builder has that');
  expect(reason([{ ...big, mandatory_features: ['cuda'] }])).toContain('no builder has that');
});

test('a free slot is named; a build that rests says until when; one with inputs names the first', () => {
  expect(reason([{ ...big, occupied: 0 }])).toContain('its turn comes on big-1');
  expect(reason([big], { not_before: later(0.5) })).toBe(
    'rests after trouble of a machine, tried again in about 30 s',
  );
  expect(reason([big], { state: 'blocked', waits_for: 'openssl', pending_inputs: 3 })).toBe(
    'for openssl and 2 more',
  );
});
