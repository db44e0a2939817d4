/** One server with three machines: its own, one behind ssh, and one with an agent, each with its own store. */
import { writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { nixesUnderTest, openTestNix, type TestNix } from '../src/nix/test-nix.ts';
import { type GitHubDouble, startGitHubDouble } from './github-double/index.ts';
import { processesWith } from './run-program.ts';
import {
  type AgentFolder,
  type AgentProcess,
  newAgentFolder,
  ringmaster,
  startAgentProcess,
} from './support/agent-process.ts';
import { watchBuilds } from './support/build-watch.ts';
import { ciNix } from './support/nix-files.ts';
import { newDataDir, type Product, startProduct } from './support/product.ts';
import { type Sshd, sshdMissing, startSshd } from './support/sshd.ts';
import { conclusions, verdictOn } from './support/verdict.ts';

const own = hostname();
const settings = 'substituters =\n';

describe.skipIf(sshdMissing)('a server with machines of every kind', () => {
  let double: GitHubDouble;
  let data: Awaited<ReturnType<typeof newDataDir>>;
  let it: TestNix;
  let sshd: Sshd;
  let product: Product;
  let folder: AgentFolder;
  let agent: AgentProcess;
  const builds = watchBuilds(() => product);

  /** On the machine of the server, as an operator. */
  async function operate(...args: string[]): Promise<string> {
    const done = await ringmaster(args, { RINGMASTER_DATA_DIR: data.path });
    expect(done, done.stderr).toMatchObject({ status: 0 });
    return done.stdout;
  }

  beforeAll(async () => {
    const [under] = nixesUnderTest;
    if (!under) throw new Error('no Nix to test with');
    [double, data, folder, it] = await Promise.all([
      startGitHubDouble(),
      newDataDir(),
      newAgentFolder(),
      openTestNix(under),
    ]);
    sshd = await startSshd({ nixConfig: `${it.nix.environment.NIX_CONFIG}\nsystem-features = far` });
    await writeFile(join(data.path, 'ringmaster.toml'), configuration());
    product = await startProduct({
      double,
      dataDir: data.path,
      env: { RINGMASTER_BUILDS_PSI_THRESHOLD: '101' },
      args: ['--config', join(data.path, 'ringmaster.toml')],
    });
    const added = JSON.parse(await operate('builder', 'add', 'moon', '--json'));
    agent = await startAgentProcess({
      server: product.url,
      token: z.object({ token: z.string() }).parse(added).token,
      folder: folder.path,
      env: { NIX_CONFIG: `${settings}system-features = moon` },
    });
    await agent.connected;
  });
  afterAll(async () => {
    agent?.signal('SIGKILL');
    await agent?.exited;
    await product?.stop();
    await sshd?.close();
    await Promise.all([double?.close(), data?.remove(), folder?.remove(), it?.close()]);
  });

  function configuration(): string {
    const machine = (name: string, hostKey?: string) => `
[[builders]]
name = "${name}"
uri = ${JSON.stringify(
      sshd.address({
        'remote-store': join(sshd.folder, name),
        'remote-program': it.nix.programs['nix-daemon'],
        ...(hostKey !== undefined && { 'base64-ssh-public-host-key': hostKey }),
      }),
    )}
systems = ["${it.nix.system}"]
features = ["${name}"]
slots = 2
`;
    const another = Buffer.from(`ssh-ed25519 ${'A'.repeat(68)}`).toString('base64');
    return `[builds]\nslots = 1\nlost_timeout = 1\n${machine('far')}${machine('stranger', another)}`;
  }

  async function push(repo: string, body: string): Promise<string> {
    await double.createRepository({ name: repo });
    const { sha } = await double.push({ repo, files: { 'ci.nix': ciNix(body) } });
    return sha;
  }

  test('builds what depends on each other across them, each where its features are', async () => {
    const repo = 'across/acme';
    const sha = await push(
      repo,
      `let hand = input: "read line < \${input}; echo $line on >> $out"; in rec {
        one = buildOn "big-parallel" "one" "echo start > $out";
        two = buildOn "far" "two" (hand one);
        three = buildOn "moon" "three" (hand two);
        four = buildOn "far" "four" (hand three);
        five = buildOn "big-parallel" "five" "\${hand four}; read line < $out; echo got $line";
      }`,
    );
    const checks = conclusions(await verdictOn(double, sha));
    expect(new Set(Object.values(checks))).toEqual(new Set(['success']));
    const names = ['one', 'two', 'three', 'four', 'five'];
    const found = await Promise.all(names.map((name) => builds.of(repo, name)));
    const where = found.map(({ attempts }) => attempts.map(({ builder }) => builder).join());
    expect(where).toEqual([own, 'far', 'moon', 'far', own]);
    await builds.untilLogged(repo, 'five', /^got start on on on on$/m);
    // And each again where it was built, with what the others hold by now.
    await operate('build', 'check', ...found.map(({ id }) => String(id)));
    for (const [index, name] of names.entries()) {
      const checked = async () => (await builds.of(repo, name)).checks;
      await expect.poll(checked).toEqual([{ state: 'reproduced', builder: where[index] }]);
    }
  });

  test('shows logs while builds run anywhere, and cancelling ends their processes', async () => {
    const repo = 'endless/acme';
    const machines = { 'big-parallel': own, far: 'far', moon: 'moon' };
    const features = Object.keys(machines);
    // Told apart from everything else that sleeps on this machine.
    const marks = features.map((_, index) => `8${process.pid}${index}.25`);
    const jobs = features.map(
      (feature, index) => `${feature} = buildOn "${feature}" "endless" "echo begun; sleep ${marks[index]}";`,
    );
    const sha = await push(repo, `{ ${jobs.join('\n')} }`);
    for (const [feature, builder] of Object.entries(machines)) {
      await builds.untilLogged(repo, feature, /begun/);
      expect(await builds.of(repo, feature)).toMatchObject({
        state: 'building',
        attempts: [{ builder, state: 'running' }],
      });
    }
    const running = async () =>
      (await Promise.all(marks.map(processesWith))).map((found) => found.length > 0);
    expect(await running()).toEqual([true, true, true]);
    const ids = await Promise.all(features.map((feature) => builds.idOf(repo, feature)));
    await operate('build', 'cancel', ...ids.map(String));
    await expect.poll(running).toEqual([false, false, false]);
    expect((await verdictOn(double, sha)).get('ringmaster')?.conclusion).toBe('cancelled');
  });

  test('gives nothing to machines that drain or are disabled, until they are enabled', async () => {
    const repo = 'closed/acme';
    await Promise.all([operate('builder', 'drain', 'far'), operate('builder', 'disable', 'moon')]);
    const sha = await push(
      repo,
      `{
        far = buildOn "far" "far" "echo > $out";
        moon = buildOn "moon" "moon" "echo > $out";
        any = build "any" "echo > $out";
        other = build "other" "echo > $out";
      }`,
    );
    for (const name of ['any', 'other']) {
      await builds.until(repo, name, 'succeeded');
      expect(await builds.of(repo, name)).toMatchObject({ attempts: [{ builder: own }] });
    }
    for (const name of ['far', 'moon']) {
      expect(await builds.of(repo, name)).toMatchObject({ state: 'queued', attempts: [] });
    }
    const list = await operate('builder', 'list');
    expect(list).toMatch(/^far .*draining/m);
    expect(list).toMatch(/^moon .*disabled/m);
    await Promise.all(['far', 'moon'].map((name) => operate('builder', 'enable', name)));
    expect((await verdictOn(double, sha)).get('ringmaster')?.conclusion).toBe('success');
    for (const name of ['far', 'moon']) {
      expect((await builds.of(repo, name)).attempts).toMatchObject([{ builder: name }]);
    }
  });

  test('says what to do about a machine with another host key before it costs a build', async () => {
    const shown = () => operate('builder', 'list');
    await expect.poll(shown).toMatch(/^stranger .*another host key.*give its new host key/m);
  });

  test('ends a build whose machine went away for good, with its name and what to do', async () => {
    const repo = 'gone/acme';
    const sha = await push(repo, '{ it = buildOn "far" "gone" "echo begun; sleep 900; echo > $out"; }');
    await builds.untilLogged(repo, 'it', /begun/);
    await sshd.cut('listener');
    await sshd.cut('connections');
    expect((await verdictOn(double, sha)).get('ringmaster')?.conclusion).toBe('failure');
    const { state, message, id } = await builds.of(repo, 'it');
    expect(state).toBe('builder-lost');
    expect(message).toMatch(/^No builder could finish it:\n {2}far, \d{4}-\d\d-\d\dT[\d:]{8}Z: \S/);
    expect(message).toContain(`ringmaster build restart ${id}`);
  });
});
