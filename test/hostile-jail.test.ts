/**
 * What the jail itself holds. Nix's restrictions are taken away by a wrapper around nix-instantiate,
 * and builtins.exec, with which the code under evaluation can run any program, is given to it.
 */
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../src/basics/index.ts';
import {
  errorsOf,
  evaluateAll,
  makeTestFolder,
  type TestFolder,
  writeCheckout,
} from '../src/evaluations/evaluators/test-evaluation.ts';
import { createEvaluator, type Evaluator } from '../src/evaluations/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../src/nix/test-nix.ts';

let folder: TestFolder;
let port: number;
let requests = 0;
const server = createServer((_, response) => {
  requests += 1;
  response.end('got in');
});

beforeAll(async () => {
  folder = await makeTestFolder();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  port = typeof address === 'object' && address !== null ? address.port : 0;
  await writeFile(join(folder.path, 'secret'), 'the private key');
});
afterAll(async () => {
  server.close();
  await folder.remove();
});

describe.each(nixesUnderTest)('code that has escaped from $name', (under) => {
  let testNix: TestNix;
  let evaluator: Evaluator;

  beforeAll(async () => {
    testNix = await openTestNix(under);
    const { environment, layout, programs } = testNix.nix;
    const bin = join(testNix.folder, 'escaped', 'bin');
    await mkdir(bin, { recursive: true });
    await symlink(programs['nix-daemon'], join(bin, 'nix-daemon'));
    const unrestricted =
      '--option restrict-eval false --option allow-unsafe-native-code-during-evaluation true';
    // Both that evaluate: one process for the walk, or a session of `nix repl`.
    for (const name of ['nix', 'nix-instantiate'] as const) {
      await writeFile(join(bin, name), `#!/bin/sh\nexec '${programs[name]}' "$@" ${unrestricted}\n`);
      await chmod(join(bin, name), 0o755);
    }
    const nixInstantiate = join(bin, 'nix-instantiate');
    evaluator = await createEvaluator({
      nix: {
        env: { ...environment, SECRET_TOKEN: 'sesame' },
        store: layout,
        nixInstantiate,
        readablePaths: [dirname(programs.nix)],
      },
      log: silentLogger(),
      prefer: 'built-in',
      jail: 'required',
    });
  });
  afterAll(() => testNix.close());

  /** What a shell script inside the jail prints, on both streams. */
  async function runInside(script: string, trusted = false): Promise<string> {
    const nix = `throw ("said: " + builtins.exec [ "/bin/sh" "-c" ''
      said=$( { printf :; ${script.replaceAll('${', "''${")}
      } 2>&1 | /usr/bin/base64 -w0)
      echo "\\"$said\\""
    '' ])`;
    const checkout = await writeCheckout(folder.path, { 'ci.nix': `{ a = ${nix}; }`, secret: 'ours' });
    const [error] = errorsOf(await evaluateAll(evaluator, checkout, { trusted }));
    const said = /said: ([A-Za-z0-9+/=]+)/.exec(error?.message ?? '')?.[1];
    if (said === undefined) throw new Error(`nothing was said: ${error?.message}`);
    return Buffer.from(said, 'base64').toString('utf8').slice(1);
  }

  test('runs programs, so that what follows proves something', async () => {
    expect(await runInside('echo hello; cat "$PWD/../../../nothing" || pwd')).toMatch(/^hello\n/);
  });

  test('finds no file of the machine beyond programs', async () => {
    const root = await runInside('ls -A /');
    const ofSystem = 'bin dev etc lib lib32 lib64 libx32 nix opt proc run sbin tmp usr var root home build';
    // Folders of programs on the search path, Nix and the checkout lie where this machine has them.
    const reached = [
      ...(testNix.nix.environment.PATH ?? '').split(':'),
      dirname(testNix.nix.programs.nix),
      folder.path,
    ];
    const real = await Promise.all(reached.map((path) => realpath(path).catch(() => path)));
    const known = new Set([...ofSystem.split(' '), ...real.map((path) => path.split('/')[1] ?? '')]);
    expect(
      root
        .trim()
        .split('\n')
        .filter((name) => !known.has(name)),
    ).toEqual([]);
    // Where Nix itself is installed in somebody's home, that part of it is there.
    const home = await runInside(`find '${userInfo().homedir}' /home /root /sys /boot /mnt -type f`);
    const installed = dirname(dirname(testNix.nix.programs.nix));
    const strange = home.split('\n').filter((line) => line.startsWith('/') && !line.startsWith(installed));
    expect(strange).toEqual([]);
    expect(await runInside('ls /run /var/lib /var/log; find /run -type f')).not.toMatch(
      /postgres|systemd|ringmaster\.toml/,
    );
    expect((await runInside('ls -A /etc')).trim().split('\n').sort()).toEqual(
      expect.arrayContaining(['group', 'nsswitch.conf', 'passwd']),
    );
    expect(await runInside('cat /etc/shadow /etc/hostname /etc/resolv.conf')).not.toMatch(/^[^c]/m);
    expect((await runInside('cat /etc/passwd')).trim().split('\n')).toHaveLength(1);
  });

  test('sees no process but its own, and no environment of the server', async () => {
    const processes = await runInside('cat /proc/[0-9]*/cmdline | tr "\\0" " "');
    expect(processes).not.toMatch(/vitest|node |postgres/);
    const environments = await runInside('cat /proc/[0-9]*/environ | tr "\\0" "\\n"');
    expect(environments).not.toMatch(/sesame|SECRET_TOKEN|VITEST|npm_/);
    expect(environments).toMatch(/NIX_REMOTE=unix:/);
    expect(environments).not.toMatch(/sandbox/);
  });

  test('cannot read what lies beside its checkout, nor another checkout', async () => {
    const other = await writeCheckout(folder.path, { 'ci.nix': '{ }', secret: 'of another repository' });
    const said = await runInside(
      `cat '${join(folder.path, 'secret')}' '${join(other, 'secret')}'; ls -A '${folder.path}'`,
    );
    expect(said).not.toMatch(/private key|another repository/);
    expect(said).toMatch(/No such file/);
    expect(
      said
        .trim()
        .split('\n')
        .filter((line) => line.startsWith('checkout-')),
    ).toHaveLength(1);
  });

  test('cannot write its checkout, the store, its database or a program', async () => {
    const { realStoreDir } = testNix.nix.layout;
    const said = await runInside(
      `touch '${realStoreDir}/x' /usr/bin/x /etc/passwd /bin/x; for c in '${folder.path}'/checkout-*/source; do touch $c/x; done; ls '${join(realStoreDir, '../var')}'`,
    );
    expect(said.match(/Read-only file system/g)).toHaveLength(5);
    expect(said).toMatch(/No such file or directory/);
    expect(await readdir(realStoreDir)).not.toContain('x');
  });

  test('has a folder of its own to write in, which is gone afterwards', async () => {
    const name = `mine-${randomUUID()}`;
    const said = await runInside(`echo kept > /tmp/${name} && cat /tmp/${name}; touch $HOME/x && echo both`);
    expect(said).toBe('kept\nboth\n');
    expect(await runInside(`ls /tmp/${name}`)).toMatch(/No such file/);
    expect(await readdir(tmpdir())).not.toContain(name);
  });

  test('reaches no server when it is not trusted', async () => {
    const fetch = `bash -c 'exec 3<>/dev/tcp/127.0.0.1/${port} && printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3 && cat <&3'`;
    expect(await runInside(fetch)).not.toMatch(/got in/);
    expect(requests).toBe(0);
    expect((await runInside('cat /proc/net/dev')).match(/^ *(\w+):/gm)).toEqual([
      expect.stringMatching(/lo:/),
    ]);
    // The same attempt works with the network, which trusted code has: the test can fail.
    expect(await runInside(fetch, true)).toMatch(/got in/);
    expect(requests).toBe(1);
    requests = 0;
  });

  test('has no rights and can get none', async () => {
    expect(await runInside('grep -E "Cap(Eff|Prm|Bnd)|NoNewPrivs" /proc/self/status')).toMatch(
      /CapPrm:\s0+\nCapEff:\s0+\nCapBnd:\s0+\nNoNewPrivs:\s1/,
    );
    expect(
      await runInside('mount -t tmpfs none /tmp; unshare -Ur true; mknod /tmp/disk b 254 0'),
    ).not.toMatch(/^$/);
    expect(await runInside('ls -l /tmp/disk; unshare -Ur echo became root')).not.toMatch(/became root|^b/m);
    expect(await runInside('echo 1 > /proc/sys/kernel/core_uses_pid && echo wrote')).not.toMatch(/wrote/);
  });

  test('may not decide how the store builds', async () => {
    const said = await runInside(
      `cat > /tmp/build.nix <<'END'
derivation { name = "free"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo $NIX_BUILD_TOP; [ ! -e /usr/bin/env ] && echo held > $out" ]; }
END
      nix-build --no-out-link --option sandbox false --option build-hook /tmp/x /tmp/build.nix 2>&1 | tail -3`,
    );
    expect(said).toMatch(/\/nix\/store\/\w{32}-free/);
  });

  test('leaves nothing running', async () => {
    await runInside(
      'sleep 86411 </dev/null >/dev/null 2>&1 & setsid sleep 86411 </dev/null >/dev/null 2>&1 &',
    );
    await expect.poll(() => runningCommands()).not.toContain('sleep\u000086411');
  });
});

async function runningCommands(): Promise<string> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    processes.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')),
  );
  return lines.join('\n');
}
