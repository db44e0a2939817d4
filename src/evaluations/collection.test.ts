/** A garbage collection of the store at the worst moments of an evaluation. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProcess } from '../basics/index.ts';
import { holdDerivations, updateGcRoots } from '../builds/index.ts';
import { createTextWriter, realPath, resolvedDerivation } from '../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { createTestOrigin, type TestOrigin } from '../projects/test-origin.ts';
import type { Evaluate } from './events.ts';
import { startTestCoordinator } from './test-coordinator.ts';

let origin: TestOrigin;
beforeAll(async () => {
  origin = await createTestOrigin();
});
afterAll(() => origin.remove());

/** Nothing is built here, and builds wait for it. */
const enqueue = { unsupportedTimeoutSeconds: 3600 };

/** A file, a text and a derivation that lie in nothing but what is to be built. */
const files = (name: string) => ({
  'ci.nix': `let
    build = name: script: derivation { inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; };
    text = builtins.toFile "text-${name}" "a text";
    first = build "first-${name}" "read -r line < \${./file-${name}}; echo \\"$line\\" > $out";
  in { ${name} = build "${name}" "read -r a < \${first}; read -r b < \${text}; echo \\"$a, $b\\" > $out"; }`,
  [`file-${name}`]: 'a file\n',
});

describe.each(nixesUnderTest)('with $name', (under) => {
  let database: TestDatabase;
  let testNix: TestNix;
  beforeAll(async () => {
    [database, testNix] = await Promise.all([createTestDatabase(), openTestNix(under)]);
  });
  afterAll(() => Promise.all([testNix.close(), database.drop()]));

  async function collect(): Promise<void> {
    const { programs, environment } = testNix.nix;
    const collected = await runProcess(programs['nix-store'], ['--gc'], { env: environment });
    expect(collected.exitCode, collected.stderr).toBe(0);
  }

  /** What the builds of the newest evaluation are told they need, sources first of all. */
  async function inputs(): Promise<readonly string[]> {
    const told: { derivation: Buffer }[] = await database.knex('build_derivations').select('derivation');
    return told.flatMap(({ derivation }) =>
      resolvedDerivation(derivation).inputs.filter((path) => /-(file|text)-/.test(path)),
    );
  }

  /** What a person gets who has the job built now. */
  async function built(drvPath: string): Promise<string> {
    const { programs, environment, layout } = testNix.nix;
    const result = await runProcess(programs['nix-store'], ['--realise', drvPath], { env: environment });
    expect(result.exitCode, result.stderr).toBe(0);
    return await readFile(realPath(layout, result.stdout.trim()), 'utf8');
  }

  test('when the evaluator has gone, and when the evaluation has ended, what is to be built stays', async () => {
    const wrap = (evaluate: Evaluate): Evaluate =>
      async function* (request) {
        yield* evaluate(request);
        await collect();
      };
    const coordinator = await startTestCoordinator(database, origin, testNix, { wrap, enqueue });
    const evaluation = await coordinator.push(await origin.commit(files('job')));
    expect(evaluation).toMatchObject({ state: 'building', job_count: 1, error_count: 0 });
    await collect();
    const sources = await inputs();
    expect(sources).toHaveLength(2);
    expect(sources.filter((path) => !existsSync(realPath(testNix.nix.layout, path)))).toEqual([]);
    const [job] = await coordinator.jobs(evaluation.id);
    expect(await built(job?.drv_path ?? '')).toBe('a file, a text\n');
    await coordinator.close();
  });

  test('roots keep it from the end of the evaluation on, whoever ends', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ringmaster-test-roots-'));
    const { store, nix } = testNix;
    const keep = { keepEvaluations: 1, keepDays: 0 };
    const texts = createTextWriter({
      access: nix.access,
      nixDaemon: nix.programs['nix-daemon'],
      env: nix.environment,
    });
    const holding = { folder, store, storeDir: nix.storeDir, texts };
    const coordinator = await startTestCoordinator(database, origin, testNix, {
      enqueue,
      hold: (drvPaths) => holdDerivations(holding, drvPaths),
    });
    const sha = await origin.commit(files('rooted'));
    await coordinator.push(sha);
    const toBuild = expect.stringMatching(/-ringmaster-to-build$/);
    expect(await readdir(folder)).toEqual([toBuild]);
    // The same for one whose result is known.
    await rm(join(folder, (await readdir(folder)).join()));
    const evaluation = await coordinator.rerun(sha);
    // As when the server is killed before its roots have been looked at for the first time.
    await Promise.all([coordinator.close(), texts.close()]);
    await collect();
    expect(await readdir(folder)).toEqual([toBuild]);
    const keeping = { db: database.knex, folder, store, storeDir: nix.storeDir, keep };
    await updateGcRoots(keeping);
    await collect();
    const [job] = await coordinator.jobs(evaluation.id);
    const drvPath = job?.drv_path ?? '';
    expect(await readdir(folder)).toEqual(expect.arrayContaining([basename(drvPath)]));
    expect(await readdir(folder)).not.toContainEqual(toBuild);
    expect(await built(drvPath)).toBe('a file, a text\n');
    await rm(folder, { recursive: true });
  });
});
