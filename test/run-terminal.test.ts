import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWorkshop, processesWith, root, type Workshop } from './run-program.ts';

const hello = join(root, 'examples/hello');
const broken = join(root, 'examples/broken');
const escapeCharacter = '\u001b';
const hideCursor = `${escapeCharacter}[?25l`;
const showCursor = `${escapeCharacter}[?25h`;

/** A build that sleeps under a name of its own, so that its processes can be found. */
const sleeper = (seconds: string) => ({
  'ci.nix': `
    let sh = name: script: inputs: derivation { inherit name inputs; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; };
        slow = sh "slow" "echo going to sleep; sleep ${seconds}; echo > $out" [];
    in { inherit slow; after = sh "after" "echo > $out" [ slow ]; }`,
});

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.remove());

describe('ringmaster run in a pipe', () => {
  it('prints one plain line an event, then the failures with their logs, then one summary line', async () => {
    const { status, stdout, stderr } = await workshop.run(['run', broken]);
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
    expect(stdout).not.toContain(escapeCharacter);
    expect(stdout).toMatch(/^evaluating {2,}ci\.nix with /);
    expect(stdout).toMatch(/^failed {2,}tests\.unit {2}.*exit code 1$/m);
    expect(stdout).toMatch(/^dependency failed {2}release {2}because of tests\.unit$/m);
    expect(stdout).toMatch(/^ci\.nix:\d+:\d+: error: attribute 'titel' missing\n {2}in attribute manual$/m);
    expect(stdout).toMatch(/✘ tests\.unit: failed.*\n {2}│ running 3 tests\n/);
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(
      /^✘ 3 jobs: 1 built, 1 failed, 1 dependency failed, 1 evaluation error, /,
    );
  });

  it('leaves logs and errors out with --quiet, and shows logs as they are written with --verbose', async () => {
    const quiet = await workshop.run(['run', broken, '--quiet']);
    expect(quiet.stdout).not.toContain('running 3 tests');
    const verbose = await workshop.run(['--verbose', 'run', broken]);
    expect(verbose.stdout).toMatch(/^log {2,}tests\.unit> ok 2 - it says hello$/m);
  });

  it('has colours with FORCE_COLOR, unless NO_COLOR or --no-color says otherwise', async () => {
    const colours = async (args: readonly string[], env: Record<string, string>) =>
      (await workshop.run(['run', hello, '--no-build', ...args], env)).stdout.includes(escapeCharacter);
    expect(await colours([], { FORCE_COLOR: '1' })).toBe(true);
    expect(await colours([], { FORCE_COLOR: '1', NO_COLOR: '1' })).toBe(false);
    expect(await colours(['--no-color'], { FORCE_COLOR: '1' })).toBe(false);
  });

  it('uses ASCII alone where the locale is not UTF-8', async () => {
    const { stdout } = await workshop.run(['run', hello, '--no-build', '--quiet'], { LANG: 'C' });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII ends at 7f.
    expect(stdout).toMatch(/^[\u0000-\u007f]*$/);
  });

  it('lets no build log move the cursor', async () => {
    const checkout = await workshop.checkout({
      'ci.nix': `derivation { name = "rude"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" ''printf '\\033[2J\\033]0;owned\\007gone\\n'; exit 1'' ]; }`,
    });
    const { stdout } = await workshop.run(['run', checkout]);
    expect(stdout).toMatch(/│ gone$/m);
    expect(stdout).not.toContain(escapeCharacter);
    expect(stdout).not.toContain('owned');
  });

  it('ends, with its builds, when the reader of its output goes away', async () => {
    const checkout = await workshop.checkout({
      'ci.nix': `derivation { name = "talker"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "while echo talking; do sleep 0.864015; done" ]; }`,
    });
    const running = workshop.start(['run', checkout, '--verbose']);
    await running.shows('talking');
    running.child.stdout?.destroy();
    expect(await running.ended).toMatchObject({ status: 141, stderr: '' });
    expect(await processesWith('0.864015')).toEqual([]);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ends running builds at %s, sums up and exits with %i', async (signal, expected) => {
    const seconds = `86402.${expected}`;
    const running = workshop.start(['run', await workshop.checkout(sleeper(seconds)), '--verbose']);
    await running.shows('going to sleep');
    expect(await processesWith(`sleep ${seconds}`)).not.toEqual([]);
    running.child.kill(signal);
    const { status, stdout } = await running.ended;
    expect(status).toBe(expected);
    expect(stdout).toMatch(/2 jobs: 2 cancelled, interrupted, /);
    expect(await processesWith(seconds)).toEqual([]);
  });

  it('ends at once while it waits for whether the sandbox works', async () => {
    const shell = join(workshop.folder, 'slow-shell');
    await writeFile(shell, '#!/bin/busybox sh\nexec /bin/busybox sleep 86403.7\n', { mode: 0o755 });
    const checkout = await workshop.checkout(sleeper('1'));
    const running = workshop.start(['run', checkout], {
      NIX_CONFIG: `substituters =\nsandbox-paths = /bin/sh=${shell} /bin/busybox`,
    });
    await running.shows('evaluated ');
    running.child.kill('SIGINT');
    const { status, stdout } = await running.ended;
    expect(status).toBe(130);
    expect(stdout).toMatch(/✘ 2 jobs.*interrupted, /);
    expect(await processesWith('sleep 86403.7')).toEqual([]);
  });
});

describe('ringmaster run on a terminal', () => {
  it.each([80, 40])('draws a live area in %i columns and leaves the cursor as it was', async (columns) => {
    const checkout = await workshop.checkout({
      'ci.nix': `derivation { name = "wide"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo ${'日本'.repeat(60)}${columns}; sleep 1; echo done > $out" ]; }`,
    });
    const { status, stdout } = await workshop.startOnTerminal(['run', checkout], columns).ended;
    expect(status).toBe(0);
    expect(stdout).toContain(hideCursor);
    expect(stdout.lastIndexOf(showCursor)).toBeGreaterThan(stdout.lastIndexOf(hideCursor));
    const live = stdout.slice(stdout.indexOf(hideCursor), stdout.lastIndexOf(showCursor));
    expect(live).toContain('日本');
    for (const line of plainLines(live).filter((one) => one.includes('日本'))) {
      expect(columnsOf(line)).toBeLessThan(columns);
    }
    expect(plainLines(stdout).at(-1)).toMatch(/^✔ 1 job: 1 built, /);
  });

  it.each([
    ['with 0 columns', 0, {}],
    ['that is dumb', 80, { TERM: 'dumb' }],
  ])('prints lines on a terminal %s', async (_, columns, env) => {
    const { status, stdout } = await workshop.startOnTerminal(['run', broken], columns, env).ended;
    expect(status).toBe(1);
    expect(stdout).not.toContain(hideCursor);
    expect(stdout).not.toContain(`${escapeCharacter}[J`);
    expect(plainLines(stdout)[0]).toMatch(/^evaluating {2,}ci\.nix with /);
  });

  it('paints nothing with NO_COLOR, and still shows failures', async () => {
    const { stdout } = await workshop.startOnTerminal(['run', broken], 80, { NO_COLOR: '1' }).ended;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are the point.
    expect(stdout).not.toMatch(/\u001b\[[\d;]*m/);
    expect(stdout).toMatch(/✘ tests\.unit: failed/);
  });

  it('ends builds at Ctrl-C, sums up and gives the cursor back', async () => {
    const running = workshop.startOnTerminal(['run', await workshop.checkout(sleeper('86403.5'))], 80);
    await running.shows('going to sleep');
    running.child.stdin?.write('\u0003');
    const { status, stdout } = await running.ended;
    expect(status).toBe(130);
    expect(stdout.lastIndexOf(showCursor)).toBeGreaterThan(stdout.lastIndexOf(hideCursor));
    expect(plainLines(stdout).at(-1)).toMatch(/2 jobs: 2 cancelled, interrupted/);
    expect(await processesWith('86403.5')).toEqual([]);
  });
});

/** Lines without escape sequences, as they would be read. */
function plainLines(text: string): readonly string[] {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are the point.
      .replace(/\u001b\[[?\d;]*[A-Za-z]/g, '')
      .split(/\r*\n/)
      .map((line) => line.replaceAll('\r', ''))
      .filter((line) => line !== '')
  );
}

/** Every character outside ASCII in these tests is two columns wide, except the shapes and `…`. */
function columnsOf(line: string): number {
  return [...line].reduce((sum, character) => sum + (/[日本]/.test(character) ? 2 : 1), 0);
}
