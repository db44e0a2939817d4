import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Child, killGroup, runProcess, silentLogger, startProcess } from '../basics/index.ts';
import { chooseAccess, layoutOf } from './access.ts';
import { realPath } from './derivation.ts';
import { detectNix, findNix } from './detect-nix.ts';
import { nixEnvironment } from './environment.ts';
import type { DetectOptions, LocalNix } from './local-nix.ts';
import { openLocalStore } from './local-store.ts';
import { neededDefaults } from './settings.ts';
import { nixesUnderTest } from './test-nix.ts';
import type { RealiseResult } from './types.ts';

let folder: string;
let options: DetectOptions;
const cleanUp: (() => Promise<unknown> | unknown)[] = [];
beforeEach(async () => {
  folder = await mkdtemp('/var/tmp/ringmaster-test-nix-');
  options = { home: join(folder, 'home'), sandbox: 'required', store: join(folder, 'store') };
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  await rm(folder, { recursive: true, force: true });
});

/** The store of the machine is root's; another user's Nix takes a store of its own instead. */
const machineTest = test.skipIf(process.getuid?.() !== 0);

/** Builds something that prints where it is built. */
async function build(nix: LocalNix, config: Partial<Parameters<typeof openLocalStore>[0]> = {}) {
  const expression = `derivation {
    name = "where"; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" "echo $NIX_BUILD_TOP > $out" ]; unique = "${crypto.randomUUID()}";
  }`;
  const { stdout } = await runProcess(nix.programs['nix-instantiate'], ['--expr', expression], {
    env: nix.environment,
  });
  const store = openLocalStore({ nix, logger: silentLogger(), ...config });
  cleanUp.push(() => store.close());
  const result: RealiseResult = await store.realise({
    drvPath: stdout.trim(),
    signal: new AbortController().signal,
    timeoutSeconds: 30,
    maxSilentSeconds: 0,
    onLogLine: () => {},
  });
  return { result, store };
}

describe.each(nixesUnderTest)('detecting $name', (under) => {
  const env = { ...under.env, NIX_CONFIG: 'substituters =' };

  test('works without any configuration, in a sandbox', async () => {
    const nix = await detectNix(env, options);
    expect(nix).toMatchObject({ storeDir: '/nix/store', sandbox: true });
    expect(nix.version).toMatch(/^2\.\d+/);
    expect(nix.systemFeatures).toContain('big-parallel');
    const { result } = await build(nix);
    expect(result).toMatchObject({ status: 'built' });
    expect(await readFile(realPath(nix.layout, result.outputs.out ?? ''), 'utf8')).toBe('/build\n');
  });

  test("heeds the operator's configuration", async () => {
    const config = 'substituters =\nsystem-features = moon\ncores = 7\nextra-platforms = z80-linux';
    const nix = await detectNix({ ...env, NIX_CONFIG: config }, options);
    expect(nix).toMatchObject({ systemFeatures: ['moon'], cores: 7, extraPlatforms: ['z80-linux'] });
  });

  test("heeds the nix.conf in the operator's home, though Nix gets another", async () => {
    await mkdir(join(folder, '.config/nix'), { recursive: true });
    await writeFile(join(folder, '.config/nix/nix.conf'), 'system-features = from-home\n');
    const nix = await detectNix({ ...env, HOME: folder, XDG_CONFIG_HOME: undefined }, options);
    expect(nix.systemFeatures).toEqual(['from-home']);
    expect(nix.environment.HOME).toBe(options.home);
  });

  machineTest('refuses a NIX_CONFIG that turns the sandbox off, and says how to allow it', async () => {
    const off = { ...env, NIX_CONFIG: 'substituters =\nsandbox = false' };
    await expect(detectNix(off, options)).rejects.toMatchObject({
      code: 'sandbox-off',
      exitStatus: 3,
      hint: expect.stringContaining('sandbox = "off"'),
    });
    // Stores in folders of their own always have a sandbox: only in it are their paths where they say.
    const nix = await detectNix(off, { home: options.home, sandbox: 'off' });
    expect(nix.sandbox).toBe(false);
    const { result } = await build(nix);
    expect(await readFile(result.outputs.out ?? '', 'utf8')).not.toBe('/build\n');
  });

  machineTest(
    'refuses to go on when the sandbox does not work, and builds without it where that is allowed',
    async () => {
      const broken = { ...env, NIX_CONFIG: `substituters =\nsandbox-paths = /bin/sh=${folder}/none` };
      await expect(detectNix(broken, options)).rejects.toMatchObject({ code: 'sandbox-unavailable' });
      const nix = await detectNix(broken, { home: options.home, sandbox: 'off' });
      expect(nix.sandbox).toBe(false);
      expect((await build(nix)).result.status).toBe('built');
    },
  );

  machineTest(
    'is known before the sandbox is proven only where Nix would build nothing without one',
    async () => {
      const find = (line: string) => {
        const lines = `substituters =\nsandbox-paths = /bin/sh=${folder}/none\n${line}`;
        return findNix({ ...env, NIX_CONFIG: lines }, { ...options, sandbox: async () => 'required' });
      };
      const { nix, proveSandbox } = await find('');
      await expect(proveSandbox()).rejects.toMatchObject({ code: 'sandbox-unavailable', exitStatus: 3 });
      expect((await build(nix)).result.status).not.toBe('built');
      await expect(find('sandbox-fallback = true')).rejects.toMatchObject({ code: 'sandbox-unavailable' });
    },
  );

  test("leaves Nix's build hook alone only where it has machines to build on", async () => {
    const machines = join(folder, 'machines');
    await writeFile(machines, '# none yet\n\n');
    const lines = (builders: string) => `substituters =\nbuilders = ${builders}`;
    const hook = async (builders: string) =>
      (await detectNix({ ...env, NIX_CONFIG: lines(builders) }, options)).buildHook;
    expect(await hook('')).toBeDefined();
    expect(await hook(`@${machines}`)).toBeDefined();
    await writeFile(machines, '# one\nssh://there x86_64-linux\n');
    expect(await hook(`@${machines}`)).toBeUndefined();
    expect(await hook('ssh://there x86_64-linux')).toBeUndefined();
  });

  machineTest('uses the store of the machine when no other is asked for', async () => {
    const { home, sandbox } = options;
    const nix = await detectNix({ ...env, NIX_REMOTE: undefined }, { home, sandbox });
    expect(nix.layout.realStoreDir).toBe('/nix/store');
    const { result, store } = await build(nix);
    const out = result.outputs.out ?? '';
    expect(await readFile(out, 'utf8')).toBe('/build\n');
    expect(await store.queryValidPaths([out])).toEqual(new Set([out]));
  });

  machineTest('builds through the socket of a daemon, in a sandbox though the daemon would not', async () => {
    const socket = join(folder, 'socket');
    await startDaemon(await detectNix(env, { home: options.home, sandbox: 'required' }), socket);
    const remote = { ...env, NIX_REMOTE: `unix://${socket}` };
    const nix = await detectNix(remote, { home: options.home, sandbox: 'required' });
    expect(nix).toMatchObject({ access: { kind: 'socket', path: socket }, sandbox: true });
    const { result } = await build(nix);
    expect(await readFile(result.outputs.out ?? '', 'utf8')).toBe('/build\n');
  });
});

/** A daemon with a configuration of its own, which has no sandbox. Resolves when it listens. */
async function startDaemon(nix: LocalNix, socket: string): Promise<Child> {
  const child = startProcess(nix.programs['nix-daemon'], [], {
    env: {
      ...nix.environment,
      NIX_DAEMON_SOCKET_PATH: socket,
      NIX_CONFIG: `${nix.environment.NIX_CONFIG}\nsandbox = false\n`,
    },
  });
  child.stdout.resume();
  child.stderr.resume();
  cleanUp.push(async () => {
    const exit = once(child, 'exit');
    killGroup(child, 'SIGTERM');
    await exit;
  });
  await expect.poll(() => listens(socket)).toBe(true);
  return child;
}

function listens(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket);
    connection.once('connect', () => resolve(true)).once('error', () => resolve(false));
    connection.once('connect', () => connection.destroy());
  });
}

test('A daemon that does not answer is told apart from a sandbox that does not work', async () => {
  const env = { ...process.env, NIX_REMOTE: `unix://${folder}/nobody` };
  const { home, sandbox } = options;
  await expect(detectNix(env, { home, sandbox })).rejects.toMatchObject({
    code: 'nix-daemon-unreachable',
    exitStatus: 3,
    hint: expect.stringContaining('systemctl start nix-daemon'),
  });
});

test('Without Nix, the error says what to install', async () => {
  await expect(detectNix({ PATH: folder }, options)).rejects.toMatchObject({
    code: 'nix-missing',
    exitStatus: 3,
    hint: expect.stringContaining('apt-get install nix-bin busybox-static'),
  });
});

test('A Nix that is too old is named', async () => {
  for (const name of ['nix', 'nix-build', 'nix-daemon', 'nix-instantiate', 'nix-store']) {
    await writeFile(join(folder, name), '#!/bin/sh\necho "nix (Nix) 2.3.16"\n');
    await chmod(join(folder, name), 0o755);
  }
  await expect(detectNix({ PATH: folder }, options)).rejects.toMatchObject({
    code: 'nix-too-old',
    message: expect.stringContaining('2.3.16'),
  });
});

describe('the environment of Nix processes', () => {
  const inherited = {
    PATH: '/bin',
    HOME: '/home/me',
    AWS_SECRET: 's',
    NIX_REMOTE: 'daemon',
    NIX_CONFIG: 'a = 1',
  };

  test('has nothing of what surrounds the program, but where Nix is and how to reach its store', () => {
    const environment = nixEnvironment({ inherited, home: '/private' });
    expect(environment).toMatchObject({ PATH: '/bin', HOME: '/private', NIX_REMOTE: 'daemon' });
    expect(JSON.stringify(environment)).not.toContain('AWS_SECRET');
  });

  test('lets the operator overrule defaults, and the program overrule the operator', () => {
    const environment = nixEnvironment({ inherited, home: '/private', defaults: 'a = 0', config: 'a = 2' });
    expect(environment.NIX_CONFIG).toBe('a = 0\na = 1\na = 2');
  });
});

describe('what has to be added to the settings', () => {
  const settings = {
    system: 'x86_64-linux',
    systemFeatures: [],
    extraPlatforms: [],
    buildUsersGroup: 'nixbld',
    sandbox: 'true',
    sandboxPaths: ['/bin/sh=/nix/store/x-busybox/bin/busybox'],
    cores: 0,
    fallback: false,
    builders: '',
    substituters: [],
  };
  const installed = {
    settings,
    direct: true,
    userId: 0,
    groupExists: () => true,
    fileExists: () => true,
  };

  test('is nothing where Nix was installed as its makers do', () => {
    expect(neededDefaults(installed)).toBe('extra-experimental-features = nix-command flakes\n');
  });

  test('is no group of build users, where root has none', () => {
    expect(neededDefaults({ ...installed, groupExists: () => false })).toContain('build-users-group =\n');
    const own = { ...settings, buildUsersGroup: 'mine' };
    const text = neededDefaults({ ...installed, settings: own, groupExists: () => false });
    expect(text).not.toContain('build-users-group');
  });

  test('is a shell for the sandbox, where it has none that exists', () => {
    const fileExists = (path: string) => path === '/bin/busybox';
    const two = { ...settings, sandboxPaths: ['/extra', '/bin/sh=/usr/bin/bash-static'] };
    expect(neededDefaults({ ...installed, settings: two, fileExists })).toContain(
      'sandbox-paths = /extra /bin/sh=/bin/busybox\n',
    );
  });

  test('is nothing that a daemon decides', () => {
    const text = neededDefaults({ ...installed, direct: false, groupExists: () => false });
    expect(text).toBe('extra-experimental-features = nix-command flakes\n');
  });
});

test.each([
  ['daemon', { kind: 'socket', path: '/nix/var/nix/daemon-socket/socket' }],
  ['unix:///run/nix.sock', { kind: 'socket', path: '/run/nix.sock' }],
  ['/data/store', { kind: 'child', store: '/data/store' }],
])('NIX_REMOTE=%s is reached as Nix would', (remote, access) => {
  expect(chooseAccess({ NIX_REMOTE: remote })).toEqual(access);
});

test.each([
  ['/data/store', '/data/store/nix/store'],
  ['local?root=/data%20disk', '/data disk/nix/store'],
  ['ssh-ng://host', '/nix/store'],
])('The files of the store %s are in %s', (store, realStoreDir) => {
  expect(layoutOf({ kind: 'child', store }, '/nix/store').realStoreDir).toBe(realStoreDir);
});
