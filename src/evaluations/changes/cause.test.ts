import { expect, test } from 'vitest';
import type { Derivation } from '../../nix/index.ts';
import { createCauseFinder } from './cause.ts';

const pathOf = (hash: string, name: string) => `/nix/store/${hash.repeat(32).slice(0, 32)}-${name}.drv`;

function derivation(
  inputs: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Derivation {
  return {
    outputs: new Map([['out', { path: undefined, hashAlgorithm: undefined, hash: undefined }]]),
    inputDerivations: new Map(inputs.map((path) => [path, ['out']])),
    inputSources: [],
    system: 'x86_64-linux',
    builder: '/bin/sh',
    arguments: [],
    environment: new Map(Object.entries(environment)),
  };
}

/** Two chains, each link needing the next; the last ones differ by themselves. */
function chains(length: number) {
  const store = new Map<string, Derivation>();
  for (const side of ['a', 'b']) {
    for (let index = 0; index < length; index++) {
      const last = index === length - 1;
      const inputs = last ? [] : [pathOf(side, `link${index + 1}`)];
      store.set(pathOf(side, `link${index}`), derivation(inputs, last ? { side } : {}));
    }
  }
  const reads: string[] = [];
  const read = async (path: string) => {
    reads.push(path);
    return store.get(path);
  };
  return { store, read, reads, pair: { before: pathOf('a', 'link0'), now: pathOf('b', 'link0') } };
}

test('the difference is looked for as deep as it is, each derivation once', async () => {
  const { read, reads, pair } = chains(400);
  const causeOf = createCauseFinder(read);
  const cause = { kind: 'variable', name: 'side', of: 'link399' };
  expect(await causeOf(pair)).toEqual(cause);
  expect(await causeOf({ before: pathOf('a', 'link1'), now: pathOf('b', 'link1') })).toEqual(cause);
  expect(reads).toHaveLength(800);
});

test('reading ends at its limits, in derivations and in time', async () => {
  const few = chains(400);
  const limited = createCauseFinder(few.read, { reads: 100, milliseconds: 1_000 }, () => 0);
  expect(await limited(few.pair)).toBeUndefined();
  expect(few.reads).toHaveLength(100);
  const slow = chains(400);
  let clock = 0;
  const late = createCauseFinder(slow.read, { reads: 2_000, milliseconds: 1_000 }, () => {
    clock += 100;
    return clock;
  });
  expect(await late(slow.pair)).toBeUndefined();
  expect(slow.reads.length).toBeLessThan(30);
});

test('derivations that are not there give no cause, and others still do', async () => {
  const { store, read, pair } = chains(3);
  store.delete(pathOf('a', 'link2'));
  store.set(pathOf('a', 'other'), derivation([], { x: '1' }));
  store.set(pathOf('b', 'other'), derivation([], { x: '2' }));
  const causeOf = createCauseFinder(read);
  expect(await causeOf(pair)).toBeUndefined();
  expect(await causeOf({ before: pathOf('a', 'other'), now: pathOf('b', 'other') })).toEqual({
    kind: 'variable',
    name: 'x',
    of: 'other',
  });
});

test('an input that came without any variable naming it is told, unless another one has changed', async () => {
  const store = new Map([
    [pathOf('a', 'app'), derivation([])],
    [pathOf('b', 'app'), derivation([pathOf('c', 'zlib-1')])],
  ]);
  const causeOf = createCauseFinder(async (path) => store.get(path));
  expect(await causeOf({ before: pathOf('a', 'app'), now: pathOf('b', 'app') })).toEqual({
    kind: 'input-added',
    name: 'zlib-1',
    of: 'app',
  });
});
