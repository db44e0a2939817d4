/** Ends that need a machine in trouble, or a build that lies, to be told truly. */
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../basics/index.ts';
import { type NixStore, openLocalStore } from '../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { createLocalBuilder } from './local-builder.ts';
import type { AttemptResult } from './types.ts';

describe.each(nixesUnderTest)('with $name', (under) => {
  let it: TestNix;
  beforeAll(async () => {
    it = await openTestNix(under);
  });
  afterAll(() => it.close());

  async function attempt(store: NixStore, drvPath: string): Promise<AttemptResult & { lines: string[] }> {
    const lines: string[] = [];
    const builder = createLocalBuilder({ store, nix: it.nix, name: 'here', slots: 1 });
    const result = await builder.attempt({
      attemptId: 0,
      drvPath,
      outputs: {},
      signal: new AbortController().signal,
      timeoutSeconds: 0,
      maxSilentSeconds: 0,
      onLogLine: (line) => lines.push(line.toString()),
    });
    return { ...result, lines };
  }

  test('what a builder prints is not taken for the words of Nix, also where Nix quotes it', async () => {
    const lies = [
      'hash mismatch in fixed-output derivation',
      '',
      'No space left on device',
      'timed out after 3 seconds of silence',
    ];
    const drvPath = await it.derivation(`${lies.map((lie) => `echo '${lie}'`).join(';')}; exit 7`);
    const quoting = it.openStore({ overrides: { 'log-lines': '10' } });
    for (const store of [it.store, quoting]) {
      const result = await attempt(store, drvPath);
      expect(result).toMatchObject({ status: 'failed', lines: lies });
      expect(result.message).toMatch(/exit code 7/);
    }
    await quoting.close();
  });

  test('a build that differs from the one before it is not deterministic, where Nix still compares', async () => {
    const comparing = it.openStore({ overrides: { repeat: '1', 'enforce-determinism': 'true' } });
    const result = await attempt(comparing, await it.derivation('cat /proc/sys/kernel/random/uuid > $out'));
    await comparing.close();
    // Nix 2.13 stopped comparing.
    const compares = /^2\.([0-9]|1[012])\./.test(it.nix.version);
    expect(result.status).toBe(compares ? 'non-deterministic' : 'built');
  });

  test('a builder that finds no space where the machine has some has failed', async () => {
    const result = await attempt(it.store, await it.derivation('echo x > /dev/full'));
    expect(result).toMatchObject({ status: 'failed', lines: [expect.stringMatching(/No space left/)] });
  });

  test.skipIf(!canMount())(
    'a full disk is the machine’s: of builds, of the store, with a byte left or none',
    async () => {
      const big = 'head -c 30000000 /dev/zero >';
      const told: Record<string, string> = {};

      const builds = join(it.folder, 'builds');
      await onSmallDisk(builds, async () => {
        const environment = { ...it.nix.environment, TMPDIR: builds };
        const nix = { ...it.nix, environment };
        const store = openLocalStore({ nix, logger: silentLogger(), overrides: { 'build-dir': builds } });
        told.builds = (await attempt(store, await it.derivation(`${big} big && echo > $out`))).status;
        await store.close();
      });

      const small = await openTestNix(under);
      await onSmallDisk(join(small.folder, 'store/nix/store'), async (fill) => {
        told.store = (await attempt(small.store, await small.derivation(`${big} $out`))).status;
        const drvPath = await small.derivation('echo > $out');
        await fill();
        told['full store'] = (await attempt(small.store, drvPath)).status;
      });
      await small.close();
      expect(told).toEqual({ builds: 'out-of-disk', store: 'out-of-disk', 'full store': 'out-of-disk' });
    },
  );
});

/** In containers not even root may. */
function canMount(): boolean {
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
}

/** Puts a disk of a few MiB there, which can be filled to its last byte. */
async function onSmallDisk(folder: string, run: (fill: () => Promise<void>) => Promise<void>): Promise<void> {
  await mkdir(folder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', folder]);
  const fill = () => writeFile(join(folder, 'filler'), Buffer.alloc(13 * 1024 * 1024)).catch(() => {});
  try {
    await run(fill);
  } finally {
    // Lazily: a daemon may still have files open there.
    execFileSync('umount', ['--lazy', folder]);
  }
}
