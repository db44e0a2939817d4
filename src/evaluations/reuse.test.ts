/** A commit whose files were evaluated before is not evaluated again. */
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { parseSettingsFile, recordSettings } from '../projects/index.ts';
import { serveRepositories } from '../projects/test-git-server.ts';
import { createTestOrigin, type TestOrigin } from '../projects/test-origin.ts';
import { startTestCoordinator, type TestCoordinator } from './test-coordinator.ts';

const d = 'name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; }';
const good =
  'name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }';
let number = 0;
/** A ci.nix that no test has used before; `d` makes derivations. */
function ciNix(body: string) {
  number += 1;
  return { 'ci.nix': `let d = ${d}; good = ${good}; in # ${number}\n${body}` };
}

describe.each(nixesUnderTest)('with $name', (under) => {
  let database: TestDatabase;
  let origin: TestOrigin;
  let testNix: TestNix;
  let coordinator: TestCoordinator;
  beforeAll(async () => {
    database = await createTestDatabase();
    origin = await createTestOrigin();
    testNix = await openTestNix(under);
  });
  beforeEach(async () => {
    coordinator = await startTestCoordinator(database, origin, testNix);
  });
  afterEach(() => coordinator.close());
  afterAll(async () => {
    await testNix.close();
    await origin.remove();
    await database.drop();
  });

  test('a commit with the same files gets jobs, errors and notices of the first, and says whose', async () => {
    const first = await coordinator.push(
      await origin.commit(ciNix('{ b = d "b"; a = builtins.trace "hey" (d "a"); bad = { }.x.y; }')),
    );
    const second = await coordinator.push(await origin.commit({}, 'Nothing'));
    expect(coordinator.started.count).toBe(1);
    expect(second).toMatchObject({ reused_from: first.id, file: 'ci.nix', job_count: 2, error_count: 1 });
    expect(second.notices).toEqual(first.notices);
    expect(second.notices).toHaveLength(1);
    expect(second.state).toBe(first.state);
    const facts = async (id: number) =>
      (await coordinator.jobs(id)).map(({ path, drv_path, error, error_line }) => [
        path,
        drv_path,
        error,
        error_line,
      ]);
    expect(await facts(second.id)).toEqual(await facts(first.id));
    const third = await coordinator.push(await origin.commit({}, 'Nothing again'));
    expect(third.reused_from).toBe(first.id);
  });

  test('the same commit again, and one whose tree its delivery tells, need not even git', async () => {
    const sha = await origin.commit(ciNix('{ a = d "a"; }'));
    const first = await coordinator.push(sha);
    expect((await coordinator.rerun(sha)).reused_from).toBe(first.id);
    const tree = await origin.git(['rev-parse', `${sha}^{tree}`]);
    const nowhere = 'f'.repeat(39) + (number % 10);
    expect((await coordinator.push(nowhere, { tree })).reused_from).toBe(first.id);
    expect(coordinator.started.count).toBe(1);
  });

  test('the same files with submodules are others, which the settings decide', async () => {
    await coordinator.close();
    const server = await serveRepositories(origin.base);
    const source = { url: `${server.url}/acme/rockets.git`, credentials: undefined };
    const served = { ...origin, checkoutsOf: (dataDir: string) => origin.checkoutsOf(dataDir, source) };
    coordinator = await startTestCoordinator(database, served, testNix);
    try {
      await mkdir(join(origin.base, 'acme'), { recursive: true });
      await symlink(join(origin.path, '.git'), join(origin.base, 'acme/rockets.git')).catch(() => {});
      const part = await origin.commit({ 'part.nix': '"a-part"' });
      await origin.commit({
        ...ciNix('{ a = d (import ./sub/part.nix); }'),
        '.gitmodules': '[submodule "s"]\n\tpath = sub\n\turl = ../rockets\n',
      });
      await origin.git(['update-index', '--add', '--cacheinfo', `160000,${part},sub`]);
      await origin.git(['commit', '--quiet', '--message', 'With a submodule']);
      const sha = await origin.git(['rev-parse', 'HEAD']);
      await origin.git(['rm', '--quiet', '--cached', 'sub']);
      const without = await coordinator.push(sha);
      expect(without).toMatchObject({ job_count: 0, error_count: 1 });
      expect(JSON.stringify(without.notices)).toContain('Submodules are not fetched');
      const wish = (text: string) =>
        recordSettings(database.knex, 1, {
          ...{ sha: undefined, text, parsed: parseSettingsFile(text), asOf: new Date() },
        });
      await wish('submodules = true');
      const jobs = await coordinator.jobs((await coordinator.rerun(sha)).id);
      expect(jobs.map(({ drv_path: path }) => path)).toEqual([expect.stringMatching(/-a-part\.drv$/)]);
      await wish('');
    } finally {
      await server.close();
    }
  });

  test('a result stands for others for ever; for a day where private repositories could be fetched', async () => {
    const access = { webUrl: 'https://github.com', username: 'x-access-token', token: 'sesame' };
    const shared = { ...access, repositories: ['acme/secret'] };
    const lasting = async () => {
      const { id } = await coordinator.push(await origin.commit(ciNix('{ a = d "a"; }')));
      const question = database.knex.raw(`reusable_until = 'infinity' AS "forever"`);
      return await database.knex('evaluations').select(question).where({ id }).first();
    };
    expect(await lasting()).toEqual({ forever: true });
    await coordinator.close();
    coordinator = await startTestCoordinator(database, origin, testNix, {
      openPins: async () => ({ kind: 'ready', access: shared, notices: [], close: async () => {} }),
    });
    expect(await lasting()).toEqual({ forever: false });
  });

  test('other files, another branch that the code asks for and another project are evaluated', async () => {
    const files = ciNix('{ src ? null }: { a = d "on-${src.branch}"; }');
    const first = await origin.commit(files);
    await coordinator.push(first);
    expect((await coordinator.rerun(first)).reused_from).not.toBeNull();
    await origin.git(['branch', '--force', 'other']);
    const second = await origin.commit({}, 'The same files');
    await origin.git(['branch', '--force', 'other', second]);
    expect((await coordinator.push(second, { branch: 'other' })).reused_from).toBeNull();
    expect((await coordinator.push(first, { projectId: 2 })).reused_from).toBeNull();
    const third = await coordinator.push(await origin.commit({ 'README.md': `${number}` }));
    expect(third.reused_from).toBeNull();
    expect(coordinator.started.count).toBe(4);
  });

  test.each([
    ['an import from a derivation that fails', '{ a = d "a"; b = builtins.readFile (d "fails"); }'],
    ['a throw, whose words can be anything', '{ a = d "a"; b = throw "no network"; }'],
    ['the clock', '{ a = d "a-${toString (builtins.currentTime or 0)}"; }'],
  ])('an evaluation with %s is done again', async (_, body) => {
    const sha = await origin.commit(ciNix(body));
    await coordinator.push(sha);
    expect((await coordinator.rerun(sha)).reused_from).toBeNull();
    expect(coordinator.started.count).toBe(2);
  });

  test('what was built is there for the second commit, and names the build that made it', async () => {
    const sha = await origin.commit(ciNix(`{ a = good "good-${number}"; bad = { }.x; }`));
    const first = await coordinator.push(sha);
    const [job] = await coordinator.jobs(first.id);
    await testNix.run('nix-store', ['--realise', job?.drv_path ?? '']);
    await database.knex('builds').where({ id: job?.build_id }).update({ state: 'succeeded' });
    const second = await coordinator.rerun(sha);
    expect(second.reused_from).toBe(first.id);
    const [good, bad] = await coordinator.jobs(second.id);
    expect(good).toMatchObject({ path: ['a'], cached: true, build_id: job?.build_id, error: null });
    expect(bad).toMatchObject({ path: ['bad'], cached: false, build_id: null });
    expect(await database.knex('builds').where({ drv_path: job?.drv_path })).toHaveLength(1);
  });

  test('an evaluation whose derivations were collected is done again', async () => {
    const sha = await origin.commit(ciNix(`{ a = d "collected-${number}"; }`));
    const first = await coordinator.push(sha);
    const [job] = await coordinator.jobs(first.id);
    const collect = () => testNix.run('nix-store', ['--delete', '--ignore-liveness', job?.drv_path ?? '']);
    await coordinator.letGo();
    // A daemon takes a moment to end with its connection.
    await expect
      .poll(() => collect().then(Boolean, () => false), { timeout: 20_000, interval: 500 })
      .toBe(true);
    const second = await coordinator.rerun(sha);
    expect(second).toMatchObject({ reused_from: null, job_count: 1, error_count: 0 });
    expect(await testNix.store.queryValidPaths([job?.drv_path ?? ''])).toContain(job?.drv_path);
  });
});
