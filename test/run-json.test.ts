import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProcess } from '../src/basics/index.ts';
import { nixes, openWorkshop, readEvents, root, type Workshop } from './run-program.ts';

const hello = join(root, 'examples/hello');
const broken = join(root, 'examples/broken');
const commit = ['-c', 'user.name=a', '-c', 'user.email=a@example.org', 'commit', '-qm', 'all'];

describe.each(nixes)('ringmaster run --json with $title', ({ bin }) => {
  /** What is ours alone need not be seen with each Nix. */
  const again = bin !== nixes[0]?.bin;
  let workshop: Workshop;
  beforeAll(async () => {
    workshop = await openWorkshop(bin);
  });
  afterAll(() => workshop.remove());

  it('builds the green example, and finds all of it cached the next time', async () => {
    const first = await workshop.run(['run', hello, '--json']);
    expect(first).toMatchObject({ status: 0, stderr: '' });
    const { lines, jobs, builds, summary } = readEvents(first.stdout);
    expect(lines[0]).toMatchObject({ type: 'evaluation', file: 'ci.nix' });
    expect(jobs.map((job) => job.path.join('.')).sort()).toEqual([
      'book',
      'cards.english.casual',
      'cards.english.formal',
      'cards.german.casual',
      'cards.german.formal',
      'greeting',
      'tests.book',
      'tests.greeting',
    ]);
    expect(builds.map((build) => build.status)).toEqual(Array(8).fill('succeeded'));
    expect(summary).toMatchObject({ evaluation: 'succeeded', jobs: 8, errors: 0, succeeded: 8, failed: 0 });

    const book = builds.find((build) => build.path[0] === 'book')?.outputs.out ?? '';
    const text = await readFile(join(workshop.folder, 'store', book), 'utf8');
    expect(text).toContain('Hello from Ringmaster.');

    const second = readEvents((await workshop.run(['run', hello, '--json'])).stdout);
    expect(second.builds.map((build) => build.status)).toEqual(Array(8).fill('cached'));
    expect(second.builds.find((build) => build.path[0] === 'book')?.outputs.out).toBe(book);
    expect(second.summary).toMatchObject({ succeeded: 0, cached: 8, failed: 0 });
  });

  it('tells an evaluation error, a failure and what fails because of it apart', async () => {
    const { status, stdout } = await workshop.run(['run', broken, '--json']);
    expect(status).toBe(1);
    const { errors, builds, summary } = readEvents(stdout);
    const source = (await readFile(join(broken, 'ci.nix'), 'utf8')).split('\n');
    expect(errors).toMatchObject([
      { path: ['manual'], file: 'ci.nix', line: source.findIndex((line) => line.includes('titel')) + 1 },
    ]);
    expect(errors[0]?.message).toContain("attribute 'titel' missing");
    const byPath = new Map(builds.map((build) => [build.path.join('.'), build]));
    expect(byPath.get('program')).toMatchObject({ status: 'succeeded' });
    const unit = byPath.get('tests.unit');
    expect(unit).toMatchObject({ status: 'failed', outputs: {} });
    expect(unit?.logTail).toContain('not ok 3 - it says goodbye');
    expect(byPath.get('release')).toMatchObject({ status: 'dependency-failed', culprit: unit?.drvPath });
    expect(summary).toMatchObject({
      evaluation: 'failed',
      jobs: 3,
      errors: 1,
      succeeded: 1,
      failed: 1,
      dependencyFailed: 1,
    });
  });

  it.skipIf(again)('only evaluates with --no-build', async () => {
    const { status, stdout } = await workshop.run(['run', hello, '--no-build', '--json']);
    expect(status).toBe(0);
    const { jobs, builds, summary } = readEvents(stdout);
    expect([jobs.length, builds.length]).toEqual([8, 0]);
    expect(summary).toMatchObject({ evaluation: 'succeeded', jobs: 8, succeeded: 0, failed: 0 });
    expect((await workshop.run(['run', broken, '--no-build', '--json'])).status).toBe(1);
  });

  it.each([
    ['there is no file to evaluate', {}, null, /ci\.nix/],
    ['the file does not parse', { 'ci.nix': '{ a = ; }' }, 'ci.nix', /syntax error/],
    ['the file throws', { 'default.nix': 'throw "no luck today"' }, 'default.nix', /no luck today/],
  ])('has one error with an empty path when %s', async (_, files, file, message) => {
    const { status, stdout } = await workshop.run(['run', await workshop.checkout(files), '--json']);
    expect(status).toBe(1);
    const { lines, errors, summary } = readEvents(stdout);
    expect(lines[0]).toMatchObject({ type: 'evaluation', file });
    expect(errors).toMatchObject([{ path: [], message: expect.stringMatching(message) }]);
    expect(summary).toMatchObject({ evaluation: 'failed', jobs: 0, errors: 1 });
  });

  it('sees what a commit of everything would hold, under the name it has on the server', async () => {
    const checkout = await workshop.checkout({
      'ci.nix': `derivation { name = "all"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "cd \${./.}; echo \${./.} * > $out" ]; }`,
      tracked: 'committed',
      untracked: 'new',
      ignored: 'a build result',
      '.gitignore': 'ignored\n',
    });
    for (const args of [['init', '-q', '-b', 'main'], ['add', 'ci.nix', 'tracked'], commit]) {
      await runProcess('git', args, { cwd: checkout, env: { ...workshop.env } });
    }
    const { builds } = readEvents((await workshop.run(['run', checkout, '--json'])).stdout);
    const out = await readFile(join(workshop.folder, 'store', builds[0]?.outputs.out ?? ''), 'utf8');
    expect(out).toMatch(/^\/nix\/store\/\w+-source ci\.nix tracked untracked\n$/);
  });

  it.skipIf(again)('judges failures by the marks of their jobs', async () => {
    const job = (name: string, script: string, mark: string) =>
      `${name} = derivation { name = "${name}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "${script}" ]; } // { ${mark} };`;
    const checkout = await workshop.checkout({
      'ci.nix': `{
        ${job('flaky', 'exit 1', 'ignoreFailure = true;')}
        ${job('guarded', 'echo caught; exit 1', 'requireFailure = true;')}
        ${job('prepared', 'exit 1', 'buildDependenciesOnly = true;')}
      }`,
    });
    const good = await workshop.run(['run', checkout, '--json']);
    const { builds, summary } = readEvents(good.stdout);
    expect(Object.fromEntries(builds.map((build) => [build.path[0], build.status]))).toEqual({
      flaky: 'failed',
      guarded: 'failed',
      prepared: 'succeeded',
    });
    expect(summary).toMatchObject({ failed: 2, ok: true });
    expect(good.status).toBe(0);

    const unguarded = await workshop.checkout({
      'ci.nix': `{ ${job('unguarded', 'echo > $out', 'requireFailure = true;')} }`,
    });
    const bad = await workshop.run(['run', unguarded, '--json']);
    expect(bad.status).toBe(1);
    expect(readEvents(bad.stdout).builds).toMatchObject([{ status: 'succeeded', ok: false }]);
  });

  it.skipIf(again)('builds a derivation once for two attributes, and tells of both', async () => {
    const checkout = await workshop.checkout({
      'ci.nix': `let
        shared = derivation { name = "shared"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; };
      in { one = shared; two = shared; }`,
    });
    const { builds, summary } = readEvents((await workshop.run(['run', checkout, '--json'])).stdout);
    expect(builds.map((build) => [build.path[0], build.status]).sort()).toEqual([
      ['one', 'succeeded'],
      ['two', 'succeeded'],
    ]);
    expect(summary).toMatchObject({ jobs: 2, succeeded: 2 });
  });

  it('fails jobs whose input fails that is no job itself, and shows the log of the input', async () => {
    const checkout = await workshop.checkout({
      'ci.nix': `let
        sh = name: script: inputs: derivation { inherit name inputs; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; };
        hidden = sh "hidden" "echo deep trouble; exit 3" [];
      in { visible = sh "visible" "echo > $out" [ hidden ]; }`,
    });
    const { builds } = readEvents((await workshop.run(['run', checkout, '--json'])).stdout);
    expect(builds).toMatchObject([
      { path: ['visible'], status: 'dependency-failed', culprit: expect.stringMatching(/-hidden\.drv$/) },
    ]);
    const lines = await workshop.run(['run', checkout]);
    expect(lines.stdout).toMatch(
      /hidden: failed \(an input\)[\s\S]*deep trouble[\s\S]*visible: dependency failed: hidden/,
    );
  });
});
