import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nixBase32 } from '../../nix/index.ts';
import {
  createTestOrigin,
  project,
  type TestCheckouts,
  type TestOrigin,
} from '../../projects/test-origin.ts';
import { findHashPlace } from './find-place.ts';
import { spellingsOf } from './spellings.ts';

const hashOf = (text: string) => createHash('sha256').update(text).digest();
const sri = (bytes: Buffer) => `sha256-${bytes.toString('base64')}`;
const got = hashOf('got');
const line = (text: string) => `{\r\n  hash = "${text}";\r\n}`;

let origin: TestOrigin;
let checkouts: TestCheckouts;
let sha: string;
beforeAll(async () => {
  origin = await createTestOrigin();
  checkouts = origin.checkoutsOf(await origin.freshDataDir());
  sha = await origin.commit({
    'sri.nix': line(sri(hashOf('sri'))),
    'hex.nix': line(hashOf('hex').toString('hex')),
    'prefixed.nix': line(`sha256:${hashOf('prefixed').toString('hex')}`),
    'base32.nix': line(nixBase32(hashOf('base32'))),
    'one.nix': line(sri(hashOf('twice'))),
    'two.nix': line(nixBase32(hashOf('twice'))),
    'same-line.nix': `${sri(hashOf('same line'))} ${sri(hashOf('same line'))}`,
    'longer.nix': `x${hashOf('longer').toString('hex')}`,
    'fake.nix': '{\n  hash = pkgs.lib.fakeHash;\n}\n',
  });
});
afterAll(() => origin.remove());

async function placeOf(specified: Buffer) {
  const spellings = spellingsOf(sri(specified), sri(got)) ?? [];
  const answer = await checkouts.ask({ project, sha, gitRef: 'refs/heads/main' }, (files) =>
    findHashPlace(files, spellings),
  );
  if (answer.kind !== 'ready') throw new Error(answer.reason);
  return answer.value;
}

test.each([
  ['sri', sri(got)],
  ['hex', got.toString('hex')],
  ['prefixed', `sha256:${got.toString('hex')}`],
  ['base32', nixBase32(got)],
])('the hash is written as the one was that stood there: %s', async (name, written) => {
  expect(await placeOf(hashOf(name))).toEqual({
    kind: 'one',
    path: `${name}.nix`,
    line: 2,
    newLine: `  hash = "${written}";\r`,
    newText: line(written),
    executable: false,
  });
});

test('a hash that was not known yet is written in place of its stand-in', async () => {
  expect(await placeOf(Buffer.alloc(32))).toMatchObject({
    path: 'fake.nix',
    newText: `{\n  hash = "${sri(got)}";\n}\n`,
  });
});

test('nothing is guessed', async () => {
  expect(await placeOf(hashOf('nowhere'))).toEqual({ kind: 'none' });
  expect(await placeOf(hashOf('twice'))).toEqual({ kind: 'several', where: ['one.nix:2', 'two.nix:2'] });
  expect(await placeOf(hashOf('same line'))).toMatchObject({ kind: 'several' });
  // Part of a longer word.
  expect(await placeOf(hashOf('longer'))).toEqual({ kind: 'none' });
});
