import { expect, test } from 'vitest';
import { secretsOf } from '../logs/index.ts';
import type { EvaluationEvent } from './events.ts';
import { mayHavePins, withPins } from './pins.ts';

const branch = { kind: 'branch', name: 'main', gitRef: 'refs/heads/main', fromFork: false };
const pull = { kind: 'pull-request', name: '7', gitRef: 'refs/pull/7/head', fromFork: false };
const fork = { ...pull, fromFork: true };

test.each([
  ['a branch', 'trusted', [branch], true],
  ['a pull request from a branch of the repository', 'trusted', [pull], true],
  ['a commit of a fork that is also on a branch', 'trusted', [fork, branch], true],
  ['a fork of somebody with write permission', 'trusted', [fork], false],
  ['a fork, approved', 'approved', [fork], false],
  ['a fork whose commit was on a branch of a pull request before, approved', 'approved', [fork, pull], false],
  ['a fork, not approved', 'needs-approval', [fork], false],
] as const)('%s (%s) may fetch private pins: %s', (_, trust, sources, may) => {
  expect(mayHavePins({ trust, sources })).toBe(may);
});

test('what cannot be fetched is said first, and the token stands in no words', async () => {
  const token = 'ghs_123456789012345678901234567890123456';
  const access = { webUrl: 'https://github.com', repositories: ['a/b'], username: 'x-access-token', token };
  async function* events(): AsyncGenerator<EvaluationEvent> {
    const basic = Buffer.from(`x-access-token:${token}`).toString('base64');
    yield { type: 'notice', message: `trace: ${basic}` };
    yield {
      type: 'error',
      path: ['a'],
      message: `cannot fetch https://x-access-token:${token}@github.com/a/b`,
    };
  }
  const pins = { kind: 'ready', access, notices: ['a/c cannot be fetched'], close: async () => {} } as const;
  const said: string[] = [];
  for await (const event of withPins(events(), pins, () => secretsOf([token]))) {
    said.push('message' in event ? event.message : '');
  }
  expect(said).toEqual([
    'a/c cannot be fetched',
    expect.stringMatching(/^trace: .*\*\*\*/),
    'cannot fetch https://x-access-token:***@github.com/a/b',
  ]);
});
