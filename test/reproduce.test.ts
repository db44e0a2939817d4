/** The lines of a check that do the same at home, pasted into a shell as they stand. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runProcess } from '../src/basics/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../src/nix/test-nix.ts';
import { planReports } from '../src/reports/index.ts';
import { facts, failedBuild, job, options } from '../src/reports/plan/test-facts.ts';
import { openWorkshop, program, type Workshop } from './run-program.ts';
import { ciNix } from './support/nix-files.ts';

const path = ['checks', "it's a b"];

let workshop: Workshop;
/** A store in which plain Nix can build, too. */
let testNix: TestNix;
beforeAll(async () => {
  const [under] = nixesUnderTest;
  if (!under) throw new Error('no Nix to test with');
  testNix = await openTestNix(under);
  workshop = await openWorkshop();
});
afterAll(async () => {
  await testNix?.close();
  await workshop?.remove();
});

async function shell(script: string, cwd: string) {
  const bin = join(workshop.folder, 'bin');
  await mkdir(bin, { recursive: true });
  const words = program.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  await writeFile(join(bin, 'ringmaster'), `#!/bin/sh\nexec ${words} "$@"\n`);
  await chmod(join(bin, 'ringmaster'), 0o755);
  const identity = {
    GIT_AUTHOR_NAME: 'Ada',
    GIT_AUTHOR_EMAIL: 'a@b',
    GIT_COMMITTER_NAME: 'Ada',
    GIT_COMMITTER_EMAIL: 'a@b',
  };
  const env = {
    ...workshop.env,
    ...testNix.nix.environment,
    ...identity,
    PATH: `${bin}:${workshop.env.PATH}`,
  };
  const { exitCode, stdout, stderr } = await runProcess('sh', ['-euc', script], { cwd, env });
  if (exitCode !== 0) throw new Error(`${stdout}\n${stderr}`);
  return stdout;
}

/** The block of shell lines in the check of an attribute. */
function pasted(sha: string): string {
  const jobs = [job(path, { build: failedBuild() })];
  const check = planReports(facts({ sha, jobs }), options).find(({ name }) => name.includes('checks'));
  const block = check?.kind === 'check' ? /```sh\n([\s\S]*?)\n```/.exec(check.summary)?.[1] : undefined;
  if (block === undefined) throw new Error('the check has no lines for a shell');
  return block;
}

test('the lines build the attribute in a fresh clone, with Nix alone and with ringmaster, whatever it is called', async () => {
  const origin = await workshop.checkout({
    'nix/ci.nix': ciNix(
      `{ checks = { recurseForDerivations = true; "it's a b" = build "wanted" "echo here > $out"; };
         other = build "other" "exit 1"; }`,
    ),
  });
  // As the head of a pull request from a fork: on no branch of the repository.
  const shown = await shell(
    `git init --quiet --initial-branch=main && git commit --quiet --allow-empty --message Begin &&
     git add . && git commit --quiet --message Change && git update-ref refs/pull/7/head HEAD &&
     git rev-parse HEAD && git reset --quiet --hard HEAD~1`,
    origin,
  );
  const sha = shown.trim();
  await shell(`git clone --quiet 'file://${origin}' clone`, workshop.folder);
  const printed = await shell(pasted(sha), join(workshop.folder, 'clone'));
  expect(printed).toMatch(/^\/nix\/store\/\S+-wanted$/m);
  expect(printed).toContain(`checks."it's a b"`);
  expect(printed).not.toContain('other');
});

test('a pattern that no attribute fits is an error that says how to find them', async () => {
  const checkout = await workshop.checkout({ 'ci.nix': ciNix('{ a = build "a" "echo > $out"; }') });
  const { status, stderr } = await workshop.run(['run', checkout, '--no-build', '--attribute', 'b*']);
  expect(status).not.toBe(0);
  expect(stderr).toMatch(/No attribute fits 'b\*'\.\nhint: /);
});
