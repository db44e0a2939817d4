/** What is left of evaluations whose process was killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identifySelf, silentLogger } from '../../basics/index.ts';
import { makePrivateFolder, removeLeftOverFolders } from './private-folders.ts';

let below: string;
beforeEach(async () => {
  below = await mkdtemp(join(tmpdir(), 'ringmaster-test-folders-'));
});
afterEach(() => rm(below, { recursive: true, force: true }));

const modulePath = new URL('private-folders.ts', import.meta.url).href;

/** A process that makes a folder with a token in it, and says so. */
async function startOwner() {
  const script = `const { makePrivateFolder } = await import(${JSON.stringify(modulePath)});
    const { writeFile } = await import('node:fs/promises');
    const folder = await makePrivateFolder(${JSON.stringify(below)});
    await writeFile(folder + '/.netrc', 'a token');
    console.log('ready');
    setInterval(() => {}, 1 << 30);`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

test('is removed when that is dead, and left alone while it lives', async () => {
  const owner = await startOwner();
  const own = await makePrivateFolder(below);
  await removeLeftOverFolders(below, silentLogger());
  expect(await readdir(below)).toHaveLength(2);
  owner.kill('SIGKILL');
  await once(owner, 'close');
  await removeLeftOverFolders(below, silentLogger());
  expect(await readdir(below)).toEqual([own.slice(below.length + 1)]);
});

test('is left alone where nobody can say whose it is, or what it is', async () => {
  const self = await identifySelf();
  const dead = { ...self, pidStarted: '1' };
  const folders = {
    'ringmaster-evaluation-nobody': undefined,
    'ringmaster-evaluation-broken': '{',
    'ringmaster-evaluation-container': JSON.stringify({ ...dead, pidNamespace: 'pid:[1]' }),
    'ringmaster-evaluation-machine': JSON.stringify({ ...dead, host: 'elsewhere', bootId: 'x' }),
    'other-evaluation': JSON.stringify(dead),
    'ringmaster-evaluation-boot': JSON.stringify({ ...self, bootId: 'before' }),
    'ringmaster-evaluation-dead': JSON.stringify(dead),
  };
  for (const [name, owner] of Object.entries(folders)) {
    await mkdir(join(below, name));
    if (owner !== undefined) await writeFile(join(below, name, 'owner.json'), owner);
  }
  await mkdir(join(below, 'target'));
  await writeFile(join(below, 'target/owner.json'), JSON.stringify(dead));
  await symlink('target', join(below, 'ringmaster-evaluation-link'));
  await removeLeftOverFolders(below, silentLogger());
  expect((await readdir(below)).sort()).toEqual(
    [
      ...Object.keys(folders).filter((name) => !/-(boot|dead)$/.test(name)),
      'ringmaster-evaluation-link',
      'target',
    ].sort(),
  );
  expect(await readFile(join(below, 'target/owner.json'), 'utf8')).not.toBe('');
});
