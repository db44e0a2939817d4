/** Machines behind ssh: each is a store of its own, reached through an sshd of ours on this machine. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../src/basics/index.ts';
import type { AttemptRequest, AttemptResult, Builder } from '../src/builders/index.ts';
import { createLocalBuilder } from '../src/builders/local-builder.ts';
import { createSshBuilder } from '../src/builders/ssh-builder.ts';
import { realPath } from '../src/nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../src/nix/test-nix.ts';
import { type Sshd, sshdMissing, startSshd } from './support/sshd.ts';

const logger = silentLogger();

/** Process ids and command lines of running processes that contain a word. */
async function processesWith(word: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'stat=,pid=,args=']);
  const lines = stdout.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line.includes(word) && !line.startsWith('Z'))
    .map((l) => l.replace(/^\S+\s+/, ''));
}

async function attempt(
  builder: Builder,
  drvPath: string,
  more: Partial<AttemptRequest> = {},
): Promise<AttemptResult & { lines: string[] }> {
  const lines: string[] = [];
  const result = await builder.attempt({
    attemptId: 0,
    drvPath,
    outputs: {},
    signal: new AbortController().signal,
    timeoutSeconds: 60,
    maxSilentSeconds: 0,
    onLogLine: (line) => lines.push(line.toString()),
    ...more,
  });
  return { ...result, lines };
}

describe.skipIf(sshdMissing).each(nixesUnderTest)('machines behind ssh with $name', (under) => {
  let it: TestNix;
  let sshd: Sshd;
  let left: Builder;
  const opened: Builder[] = [];
  /** What is between ssh and sshd alone need not be seen with each Nix. */
  const again = under !== nixesUnderTest[0];

  beforeAll(async () => {
    it = await openTestNix(under);
    sshd = await startSshd({ nixConfig: it.nix.environment.NIX_CONFIG ?? '' });
    left = machine('left');
  });
  afterAll(async () => {
    await Promise.all(opened.map((builder) => builder.close()));
    await sshd.close();
    await it.close();
  });

  function storeOf(machine: string): string {
    return join(sshd.folder, machine);
  }

  function machine(
    name: string,
    parameters: Record<string, string> = {},
    { server = sshd, local = it.store } = {},
  ): Builder {
    const builder = createSshBuilder({
      name,
      uri: server.address({
        'remote-store': storeOf(name),
        'remote-program': it.nix.programs['nix-daemon'],
        ...parameters,
      }),
      local,
      layout: it.nix.layout,
      env: it.nix.environment,
      logger,
      systems: [it.nix.system],
      features: [],
      slots: 2,
      aliveSeconds: 1,
    });
    opened.push(builder);
    return builder;
  }

  const read = (path: string | undefined) => readFile(realPath(it.nix.layout, path ?? ''), 'utf8');

  test('build a graph with the local one, each what the others have made', async () => {
    const local = createLocalBuilder({ store: it.openStore(), nix: it.nix, name: 'local', slots: 2 });
    opened.push(local);
    const right = machine('right');
    // Told apart by what each adds to the text of its input.
    const drvPaths = await it.instantiate(`let
      make = name: input: derivation {
        inherit name input; system = builtins.currentSystem; builder = "/bin/sh";
        args = [ "-c" "echo building \${name}; cat $input > $out; echo \${name} $input >> $out" ];
      };
      bottom = make "bottom" (builtins.toFile "source" "source\\n");
      middle = make "middle" bottom;
    in [ bottom middle (make "top" middle) ]`);
    const builders = [local, left, right];
    const results: AttemptResult[] = [];
    for (const [index, drvPath] of drvPaths.entries()) {
      const builder = builders[index];
      if (builder !== undefined) results.push(await attempt(builder, drvPath));
    }
    expect(results).toMatchObject([{ status: 'built' }, { status: 'built' }, { status: 'built' }]);
    expect((await read(results[2]?.outputs.out)).replace(/ \/nix\/store\/\S+-/g, ' ')).toBe(
      'source\nbottom source\nmiddle bottom\ntop middle\n',
    );
    expect(await it.run('nix-store', ['--verify', '--check-contents'])).not.toMatch(/modified|error/);
  });

  test('tell lines and phases while they build, and several outputs afterwards', async () => {
    const phases: string[] = [];
    const drvPath = await it.derivation(
      `echo one; echo '@nix {"action":"setPhase","phase":"buildPhase"}' >&2; echo x > $out; echo y > $dev`,
      'outputs = [ "out" "dev" ];',
    );
    const result = await attempt(left, drvPath, { onPhase: (phase) => phases.push(phase) });
    expect(result).toMatchObject({ status: 'built', lines: ['one'] });
    expect(phases).toEqual(['buildPhase']);
    expect(await read(result.outputs.dev)).toBe('y\n');
  });

  test('build again what was built elsewhere, and tell whether the same came out', async () => {
    const builder = machine('comparing');
    const check = async (script: string) => {
      const drvPath = await it.derivation(script);
      const { outputs } = await it.store.realise({
        ...{ drvPath, signal: new AbortController().signal, timeoutSeconds: 60, maxSilentSeconds: 0 },
        onLogLine: () => {},
      });
      const before = await read(outputs.out);
      const result = await attempt(builder, drvPath, { outputs, check: true });
      expect(await read(outputs.out)).toBe(before);
      return result;
    };
    expect(await check('echo built; echo same > $out')).toMatchObject({ status: 'built', lines: ['built'] });
    const random = await check('cat /proc/sys/kernel/random/uuid > $out');
    expect(random.message).toMatch(/may not be deterministic: output '.*' differs/);
    expect(random.status).toBe('non-deterministic');
  });

  test('are brought each input once, however many builds at the same time need it', async () => {
    const builder = machine('shared');
    const drvPaths = await it.instantiate(`let
      input = builtins.toFile "shared-input" "shared";
      make = name: derivation {
        inherit name input; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "cat $input > $out" ];
      };
    in map make [ "a" "b" "c" "d" ]`);
    const results = await Promise.all(drvPaths.map((drvPath) => attempt(builder, drvPath)));
    expect(results.map(({ status }) => status)).toEqual(['built', 'built', 'built', 'built']);
  });

  test('build bytes that are not text as they are', async () => {
    const { status, outputs } = await attempt(
      machine('left'),
      await it.derivation('printf "\\377\\200" > $out'),
    );
    expect(status).toBe('built');
    expect(await readFile(realPath(it.nix.layout, outputs.out ?? ''))).toEqual(Buffer.from([0xff, 0x80]));
  });

  test('tell failed builds, time limits and wrong hashes by the clock and words of this side', async () => {
    expect(await attempt(left, await it.derivation('echo oh no; exit 3'))).toMatchObject({
      status: 'failed',
      lines: ['oh no'],
    });
    const slow = await it.derivation('echo begun; sleep 1001');
    expect((await attempt(left, slow, { timeoutSeconds: 1 })).status).toBe('timed-out');
    expect((await attempt(left, slow, { maxSilentSeconds: 1 })).status).toBe('silent-timeout');
    const fixed = `outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "${'0'.repeat(64)}";`;
    expect((await attempt(left, await it.derivation('echo x > $out', fixed))).status).toBe('output-mismatch');
  });

  test('say so when they lack a system or a feature', async () => {
    const drvPath = await it.derivation('echo > $out', 'requiredSystemFeatures = [ "quantum" ];');
    expect((await attempt(left, drvPath)).status).toBe('unsupported-system');
  });

  test('stop building when a build is cancelled', async () => {
    const marker = `40${process.pid}.5`;
    const cancel = new AbortController();
    let before: Promise<string[]> | undefined;
    const result = await attempt(left, await it.derivation(`echo begun; sleep ${marker}`), {
      signal: cancel.signal,
      onLogLine: () => {
        before = processesWith(marker).finally(() => cancel.abort());
      },
    });
    expect(await before).not.toEqual([]);
    expect(result.status).toBe('cancelled');
    await expect.poll(() => processesWith(marker)).toEqual([]);
  });

  test('are to blame when their daemon dies, and build again afterwards', async () => {
    let killed: Promise<void> | undefined;
    const result = await attempt(left, await it.derivation('echo begun; sleep 1002'), {
      onLogLine: () => {
        killed ??= killDaemons('left');
      },
    });
    await killed;
    expect(result).toMatchObject({ status: 'infrastructure', outputs: {} });
    expect((await attempt(left, await it.derivation('echo again > $out'))).status).toBe('built');
  });

  async function killDaemons(name: string): Promise<void> {
    const daemons = await processesWith(`--stdio --store ${storeOf(name)}`);
    for (const line of daemons.filter((each) => !each.includes('ssh -T'))) {
      process.kill(Number.parseInt(line, 10), 'SIGKILL');
    }
  }

  test('are to blame when the connection is cut, and are reached again afterwards', async () => {
    const result = await attempt(left, await it.derivation('echo begun; sleep 1003'), {
      onLogLine: () => void sshd.cut('connections'),
    });
    expect(result).toMatchObject({ status: 'infrastructure', outputs: {} });
    expect((await attempt(left, await it.derivation('echo later > $out'))).status).toBe('built');
  });

  test.skipIf(again)('are given up when nothing is heard of them any more', async () => {
    const builder = machine('frozen');
    let thaw: Promise<() => void> | undefined;
    const result = await attempt(builder, await it.derivation('echo begun; sleep 1004'), {
      onLogLine: () => {
        thaw ??= sshd.freeze();
      },
    });
    expect(result).toMatchObject({
      status: 'infrastructure',
      message: expect.stringMatching(/not responding/),
    });
    (await thaw)?.();
  });

  test('that do not trust us build all that is needed themselves', async () => {
    const socket = join(sshd.folder, 'socket');
    const daemon = spawn(it.nix.programs['nix-daemon'], [], {
      env: {
        ...it.nix.environment,
        NIX_REMOTE: storeOf('untrusting'),
        NIX_DAEMON_SOCKET_PATH: socket,
        NIX_CONFIG: `${it.nix.environment.NIX_CONFIG}\ntrusted-users = nobody\n`,
      },
      stdio: 'ignore',
    });
    try {
      await expect.poll(() => existsSync(socket)).toBe(true);
      const builder = machine('untrusting', {
        'remote-store': `unix://${socket}?root=${storeOf('untrusting')}`,
      });
      const [bottom = '', top = ''] = await it.instantiate(`let
        make = name: input: derivation {
          inherit name input; system = builtins.currentSystem; builder = "/bin/sh";
          args = [ "-c" "cat $input; echo \${name} > $out" ];
        };
        bottom = make "untrusted-bottom" (builtins.toFile "untrusted-source" "source\n");
      in [ bottom (make "untrusted-top" bottom) ]`);
      // What was built here has no signature, so it is not taken there.
      expect(await attempt(left, bottom)).toMatchObject({ status: 'built' });
      const result = await attempt(builder, top);
      expect(result).toMatchObject({ status: 'built' });
      expect(result.lines).toContain('untrusted-bottom');
      expect(await read(result.outputs.out)).toBe('untrusted-top\n');
    } finally {
      const gone = once(daemon, 'exit');
      daemon.kill();
      await gone;
    }
  });

  test('are not believed when what they send is not what they announce', async () => {
    const drvPath = await it.derivation('echo truth > $out');
    const local = it.openStore();
    const { outputs } = await attempt(machine('liar', {}, { local }), drvPath);
    // It protects what it was given.
    await local.close();
    const out = outputs.out ?? '';
    await it.run('nix-store', ['--delete', '--ignore-liveness', out]);
    const there = join(storeOf('liar'), out);
    await rm(there);
    await writeFile(there, 'ruse!\n');
    const result = await attempt(machine('liar'), drvPath);
    expect(result).toMatchObject({
      status: 'infrastructure',
      message: expect.stringMatching(/has the hash/),
    });
    expect(await it.store.queryValidPaths([out])).toEqual(new Set());
  });

  test.skipIf(again).each([
    [
      'has another host key',
      'ssh-host-key',
      async () => ({ 'base64-ssh-public-host-key': await otherKey() }),
    ],
    ['is not let in', 'ssh-permission', async () => ({ 'ssh-key': sshd.keys.stranger })],
    ['has no Nix', 'ssh-nix-missing', async () => ({ 'remote-program': '/nowhere/nix-daemon' })],
  ])('say what to do when one %s', async (_, code, parameters) => {
    const builder = machine('wrong', await parameters());
    await expect(builder.probe()).rejects.toMatchObject({ code, hint: expect.stringMatching(/\w/) });
    const result = await attempt(builder, await it.derivation('echo > $out'));
    expect(result.status).toBe('infrastructure');
  });

  async function otherKey(): Promise<string> {
    return (await readFile(`${sshd.keys.stranger}.pub`)).toString('base64');
  }

  test.skipIf(again)('say what to do when nobody answers', async () => {
    const server = await startSshd({ nixConfig: '' });
    const builder = machine('gone', {}, { server });
    await server.cut('listener');
    await expect(builder.probe()).rejects.toMatchObject({ code: 'ssh-unreachable' });
    await server.close();
  });

  test('leave nothing behind when they are closed', async () => {
    const builder = machine('closing');
    await builder.probe();
    expect(await processesWith(storeOf('closing'))).not.toEqual([]);
    await builder.close();
    await expect.poll(() => processesWith(storeOf('closing'))).toEqual([]);
  });
});
