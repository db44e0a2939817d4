import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstat, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realPath } from './derivation.ts';
import { nixesUnderTest, openTestNix, type TestNix } from './test-nix.ts';
import type { NixStore, RealiseRequest, RealiseResult } from './types.ts';

interface Told {
  readonly result: RealiseResult;
  readonly lines: readonly string[];
  readonly phases: readonly string[];
}

async function realise(store: NixStore, drvPath: string, more: Partial<RealiseRequest> = {}): Promise<Told> {
  const lines: string[] = [];
  const phases: string[] = [];
  const result = await store.realise({
    drvPath,
    signal: new AbortController().signal,
    timeoutSeconds: 0,
    maxSilentSeconds: 0,
    onLogLine: (line) => lines.push(line.toString('latin1')),
    onPhase: (phase) => phases.push(phase),
    ...more,
  });
  return { result, lines, phases };
}

/** Command lines of running processes that contain a word. */
async function processesWith(word: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'stat=,args=']);
  return stdout.split('\n').filter((line) => line.includes(word) && !line.startsWith('Z'));
}

/** Ends all daemons that this process has started, without warning them. */
async function killDaemons(): Promise<void> {
  const { stdout } = await promisify(execFile)('ps', ['--ppid', String(process.pid), '-o', 'pid=,args=']);
  const daemons = stdout.split('\n').filter((line) => line.includes('nix-daemon --stdio'));
  expect(daemons).not.toEqual([]);
  for (const line of daemons) process.kill(Number.parseInt(line, 10), 'SIGKILL');
}

describe.each(nixesUnderTest)('a store of $name', (under) => {
  let it: TestNix;
  beforeAll(async () => {
    it = await openTestNix(under);
  });
  afterAll(() => it.close());

  test('builds a derivation, tells its lines and phases, and where the output is', async () => {
    const drvPath = await it.derivation(
      `echo one; echo '@nix {"action":"setPhase","phase":"buildPhase"}' >&2; echo two >&2; echo hello > $out`,
    );
    const { result, lines, phases } = await realise(it.store, drvPath);
    expect(result).toMatchObject({ status: 'built', message: '' });
    expect(lines).toEqual(['one', 'two']);
    expect(phases).toEqual(['buildPhase']);
    expect(await readFile(realPath(it.nix.layout, result.outputs.out ?? ''), 'utf8')).toBe('hello\n');
  });

  test('does not build twice, and names the outputs all the same', async () => {
    const drvPath = await it.derivation('echo x > $out; echo y > $dev', 'outputs = [ "out" "dev" ];');
    const first = await realise(it.store, drvPath);
    const second = await realise(it.store, drvPath);
    expect(second.result.status).toBe('already-valid');
    expect(Object.keys(second.result.outputs).sort()).toEqual(['dev', 'out']);
    expect(second.result.outputs).toEqual(first.result.outputs);
  });

  test('hands on bytes that are not text as they are', async () => {
    const { lines } = await realise(it.store, await it.derivation(`printf '\\377\\200\\n'; echo > $out`));
    expect(lines).toEqual(['\xff\x80']);
  });

  test('tells a failed build and its exit code', async () => {
    const { result, lines } = await realise(it.store, await it.derivation('echo oh no; exit 3'));
    expect(result.status).toBe('failed');
    expect(result.message).toMatch(/failed with exit code 3/);
    expect(result.message).not.toMatch(/\[0m|oh no|nix log/);
    expect(lines).toEqual(['oh no']);
  });

  test('tells a build that made no output', async () => {
    const { result } = await realise(it.store, await it.derivation('true'));
    expect(result.status).toBe('failed');
    expect(result.message).toMatch(/failed to produce output/);
  });

  test('tells a wrong hash, and the one that was got', async () => {
    const zero = '0'.repeat(64);
    const { result } = await realise(
      it.store,
      await it.derivation(
        'echo x > $out',
        `outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "${zero}";`,
      ),
    );
    expect(result.status).toBe('output-mismatch');
    const got = createHash('sha256').update('x\n').digest('base64');
    expect(result.message).toContain(`sha256-${got}`);
  });

  test('tells a failed fixed-output build from a wrong hash', async () => {
    const { result } = await realise(
      it.store,
      await it.derivation(
        'exit 7',
        `outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "${'1'.repeat(64)}";`,
      ),
    );
    expect(result).toMatchObject({
      status: 'failed',
      message: expect.stringMatching(/failed with exit code 7/),
    });
  });

  test('tells that it cannot build for a system or feature', async () => {
    const feature = await it.derivation('echo > $out', 'requiredSystemFeatures = [ "quantum" ];');
    const [system = ''] = await it.instantiate(
      'derivation { name = "x"; system = "riscv64-linux"; builder = "/bin/sh"; }',
    );
    expect((await realise(it.store, feature)).result).toMatchObject({ status: 'unsupported-system' });
    expect((await realise(it.store, system)).result).toMatchObject({ status: 'unsupported-system' });
  });

  test('tells that an input failed', async () => {
    const [drvPath = ''] = await it.instantiate(`let
      make = name: script: input: derivation {
        inherit name input; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
      };
    in make "top" "echo > $out" (make "bottom" "exit 1" null)`);
    expect((await realise(it.store, drvPath)).result.status).toBe('dependency-failed');
  });

  test('tells that outputs may not refer to what they refer to', async () => {
    const { result } = await realise(
      it.store,
      await it.derivation('echo $out > $out', 'allowedReferences = [];'),
    );
    expect(result).toMatchObject({
      status: 'failed',
      message: expect.stringMatching(/not allowed to refer/),
    });
  });

  test.each(['not-a-path', '/nix/store/../etc/x.drv!out', '/nix/store/a b.drv'])(
    'refuses %s as a derivation',
    async (drvPath) => {
      expect((await realise(it.store, drvPath)).result).toMatchObject({ status: 'infrastructure' });
    },
  );

  test('says of a derivation that is not there that the store is to blame', async () => {
    const { result } = await realise(it.store, `/nix/store/${'0'.repeat(32)}-gone.drv`);
    expect(result.status).toBe('infrastructure');
    expect(result.message).toMatch(/gone\.drv/);
  });

  test('runs builds at the same time', async () => {
    // Each waits for a file of the other, so one after the other would never end.
    const folder = '/var/tmp';
    const [left, right] = [crypto.randomUUID(), crypto.randomUUID()];
    const store = it.openStore({ overrides: { 'sandbox-paths': `/bin/sh=/bin/busybox /meet=${folder}` } });
    const script = (mine: string, other: string) =>
      `: > /meet/${mine}; until [ -e /meet/${other} ]; do sleep 0.1; done; echo > $out`;
    const drvPaths = [await it.derivation(script(left, right)), await it.derivation(script(right, left))];
    const told = await Promise.all(
      drvPaths.map((drvPath) => realise(store, drvPath, { timeoutSeconds: 30 })),
    );
    await store.close();
    expect(told.map(({ result }) => result.status)).toEqual(['built', 'built']);
  });

  test('ends a build whose time is up', async () => {
    const marker = `10${process.pid}1`;
    const { result } = await realise(
      it.store,
      await it.derivation(`while :; do echo x; sleep 0.1; done; : ${marker}`),
      {
        timeoutSeconds: 1,
      },
    );
    expect(result).toMatchObject({ status: 'timed-out', message: expect.stringContaining('1 second') });
    expect(await processesWith(marker)).toEqual([]);
  });

  test('ends a build that has been silent for too long', async () => {
    const { result } = await realise(it.store, await it.derivation('echo x; sleep 1000'), {
      maxSilentSeconds: 1,
    });
    expect(result).toMatchObject({ status: 'silent-timeout' });
  });

  test('has stopped the builder when a cancelled build is told', async () => {
    const marker = `20${process.pid}.25`;
    const cancel = new AbortController();
    const drvPath = await it.derivation(`echo begun; sleep ${marker}; echo > $out`);
    let before: Promise<string[]> | undefined;
    const { result } = await realise(it.store, drvPath, {
      signal: cancel.signal,
      onLogLine: () => {
        before = processesWith(marker).finally(() => cancel.abort());
      },
    });
    expect(await before).not.toEqual([]);
    expect(result).toEqual({ status: 'cancelled', message: '', outputs: {} });
    expect(await processesWith(marker)).toEqual([]);
  });

  test('does not start a build that was cancelled before', async () => {
    const drvPath = await it.derivation('echo > $out; : never');
    const { result } = await realise(it.store, drvPath, { signal: AbortSignal.abort() });
    expect(result.status).toBe('cancelled');
    expect((await it.store.queryMissing([drvPath])).willBuild).toEqual(new Set([drvPath]));
  });

  test('builds the same derivation after it was cancelled', async () => {
    const drvPath = await it.derivation('echo begun; sleep 1; echo > $out');
    const cancel = new AbortController();
    await realise(it.store, drvPath, { signal: cancel.signal, onLogLine: () => cancel.abort() });
    expect((await realise(it.store, drvPath)).result.status).toBe('built');
  });

  test('says what is missing and what is valid', async () => {
    const [top = ''] = await it.instantiate(`let
      make = name: input: derivation {
        inherit name input; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
      };
    in make "missing-top" (make "missing-bottom" null)`);
    const before = await it.store.queryMissing([top]);
    expect([...before.willBuild].map((drvPath) => drvPath.slice(44)).sort()).toEqual([
      'missing-bottom.drv',
      'missing-top.drv',
    ]);
    const { result } = await realise(it.store, top);
    const after = await it.store.queryMissing([top]);
    expect(after).toEqual({ willBuild: new Set(), willSubstitute: new Set(), unknown: new Set() });
    const out = result.outputs.out ?? '';
    const nobody = `/nix/store/${'1'.repeat(32)}-nobody`;
    expect(await it.store.queryValidPaths([out, nobody])).toEqual(new Set([out]));
  });

  test('keeps what a link points to from being collected', async () => {
    const drvPath = await it.derivation('echo kept > $out');
    const store = it.openStore();
    const out = (await realise(store, drvPath)).result.outputs.out ?? '';
    const link = join(it.folder, 'kept');
    await symlink(out, link);
    await store.addIndirectRoot(link);
    await store.close();
    await it.run('nix-store', ['--gc']);
    expect((await lstat(realPath(it.nix.layout, out))).isFile()).toBe(true);
  });

  test('drops what it built when it is closed in the middle', async () => {
    const store = it.openStore();
    const drvPath = await it.derivation('echo begun; sleep 1001');
    const { result } = await realise(store, drvPath, { onLogLine: () => void store.close() });
    expect(result.status).toBe('infrastructure');
    await expect(store.queryValidPaths([])).rejects.toMatchObject({ code: 'nix-store-closed' });
  });

  test('takes a new connection when an idle one has died', async () => {
    const store = it.openStore();
    const drvPath = await it.derivation('echo > $out');
    await store.queryValidPaths([]);
    await killDaemons();
    expect((await store.queryMissing([drvPath])).willBuild.size).toBe(1);
    await killDaemons();
    expect((await realise(store, drvPath)).result.status).toBe('built');
    await store.close();
  });

  test('says so when the daemon cannot be started', async () => {
    const programs = { ...it.nix.programs, 'nix-daemon': '/nowhere/nix-daemon' };
    const store = it.openStore({ nix: { ...it.nix, programs }, name: 'broken' });
    await expect(store.queryValidPaths([])).rejects.toMatchObject({
      code: 'nix-store-unreachable',
      message: expect.stringContaining("'broken'"),
    });
    const drvPath = await it.derivation('echo > $out');
    expect((await realise(store, drvPath)).result.status).toBe('infrastructure');
  });
});
