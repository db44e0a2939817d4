/** What changed between two commits, and why, over real derivations. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readDerivation } from '../../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../../nix/test-nix.ts';
import { createTestDatabase, type TestDatabase } from '../../postgres/test-database.ts';
import { createTestOrigin, type TestOrigin } from '../../projects/test-origin.ts';
import { startTestCoordinator, type TestCoordinator } from '../test-coordinator.ts';
import { createComparer, readChanges } from './store-changes.ts';

const [under] = nixesUnderTest;
let database: TestDatabase;
let origin: TestOrigin;
let testNix: TestNix;
let coordinator: TestCoordinator;
const told: number[] = [];

beforeAll(async () => {
  if (!under) throw new Error('no Nix to test with');
  database = await createTestDatabase();
  origin = await createTestOrigin();
  testNix = await openTestNix(under);
  coordinator = await startTestCoordinator(database, origin, testNix);
});
afterAll(async () => {
  await coordinator?.close();
  await testNix?.close();
  await origin?.remove();
  await database?.drop();
});

/** Every attribute of this fails to build at once and is read as it is written. */
const ciNix = (library: string, rest: string) => ({
  'ci.nix': `
    let
      d = name: more: derivation ({ inherit name; system = "x86_64-linux"; builder = "/bin/sh"; } // more);
      library = ${library};
      tool = d "tool-1.0" { inputs = [ library ]; };
    in { ${rest} }`,
});

async function compare(evaluationId: number) {
  const { layout } = testNix.nix;
  await createComparer({
    db: database.knex,
    onRevisionChanged: async (_, revisionId) => void told.push(revisionId),
    openReader: async () => (drvPath) => readDerivation(layout, drvPath).catch(() => undefined),
  })({ id: evaluationId });
  return readChanges(database.knex, evaluationId);
}

async function push(files: Record<string, string>, branch?: string) {
  const sha = await origin.commit(files);
  const { id } = await coordinator.push(sha, branch === undefined ? {} : { branch });
  return { sha, id };
}

test('the first commit of all has nothing to be compared with', async () => {
  const first = await push({
    ...ciNix(
      'd "library-1.0" { src = ./src; }',
      'app = d "app" { inherit tool; }; same = d "same" { }; gone = d "gone" { }; worked = d "w" { }; tool = tool;',
    ),
    'src/a.c': 'int a;',
  });
  expect(await compare(first.id)).toBeUndefined();
});

test('attributes that came, went, broke and were rebuilt are told, with the source that made them others', async () => {
  const before = (await origin.git(['rev-parse', 'HEAD'])).trim();
  const second = await push({
    ...ciNix(
      'd "library-1.0" { src = ./src; }',
      'app = d "app" { inherit tool; }; same = d "same" { }; new = d "new" { }; worked = throw "no"; tool = tool;',
    ),
    'src/a.c': 'long a;',
  });
  const cause = { kind: 'source', name: 'src', of: 'library-1.0' };
  expect(await compare(second.id)).toEqual({
    baseSha: before,
    baseBranch: 'main',
    counts: { added: 1, removed: 1, rebuilt: 2, broken: 1, repaired: 0, unchanged: 1 },
    attributes: [
      { path: ['worked'], kind: 'broken' },
      { path: ['gone'], kind: 'removed' },
      { path: ['new'], kind: 'added' },
      { path: ['app'], kind: 'rebuilt', cause },
      { path: ['tool'], kind: 'rebuilt', cause },
    ],
  });
});

test('a comparison is made and told once', async () => {
  const { length } = told;
  const [row] = await database.knex('evaluation_changes').select('evaluation_id');
  await compare(row.evaluation_id);
  expect(told).toHaveLength(length);
});

test('a new version of an input is told by both names, and a new branch is compared with the default one', async () => {
  const topic = await push(
    {
      ...ciNix(
        'd "library-1.1" { src = ./src; }',
        'app = d "app" { inherit tool; }; same = d "same" { flag = 1; }; tool = tool;',
      ),
    },
    'topic',
  );
  const changes = await compare(topic.id);
  expect(changes?.baseBranch).toBe('main');
  expect(changes?.attributes.filter(({ kind }) => kind === 'rebuilt')).toEqual([
    { path: ['app'], kind: 'rebuilt', cause: { kind: 'name', from: 'library-1.0', to: 'library-1.1' } },
    { path: ['same'], kind: 'rebuilt', cause: { kind: 'variable', name: 'flag', of: 'same' } },
    { path: ['tool'], kind: 'rebuilt', cause: { kind: 'name', from: 'library-1.0', to: 'library-1.1' } },
  ]);
});

test('a commit that fails as a whole is not compared, and nothing is compared with it', async () => {
  const broken = await push({ 'ci.nix': 'throw "all of it"' });
  expect(await compare(broken.id)).toBeUndefined();
  const next = await push(ciNix('d "library-1.0" { src = ./src; }', 'same = d "same" { };'));
  expect((await compare(next.id))?.baseSha).not.toBe(broken.sha);
});
