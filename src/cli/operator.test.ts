/** What operators decide on builders and projects, by commands. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { upsertInstallation, upsertProject } from '../projects/index.ts';
import { runInProcess } from './test-command-line.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.drop());

const ringmaster = (...args: string[]) => runInProcess(args, { DATABASE_URL: database.url });

describe('builders', () => {
  test('without one, the list says how one comes', async () => {
    const { status, stdout } = await ringmaster('builder', 'list');
    expect(status).toBe(0);
    expect(stdout).toContain('The server registers its own machine when it starts.');
    expect(JSON.parse((await ringmaster('builder', 'list', '--json')).stdout)).toEqual({ builders: [] });
  });

  test('an agent is added with its token, which is shown once and stored nowhere', async () => {
    const added = await ringmaster(
      'builder',
      'add',
      'mars',
      '--slots',
      '8',
      '--server',
      'https://ci.example.org',
    );
    expect(added).toMatchObject({ status: 0, stderr: '' });
    const token = /^ {2}(\S{40,})$/m.exec(added.stdout)?.[1] ?? '';
    expect(token).not.toBe('');
    expect(added.stdout).toContain(
      `ringmaster agent --server https://ci.example.org --token-file mars.token`,
    );
    const list = await ringmaster('builder', 'list');
    expect(list.stdout).toMatch(/^NAME +KIND +STATE +BUILDS +SYSTEMS/);
    expect(list.stdout).toMatch(/^mars +agent +never connected +0\/8/m);
    const shown = await ringmaster('builder', 'show', 'mars', '--json');
    expect(JSON.parse(shown.stdout)).toMatchObject({ name: 'mars', slots: 8, enabled: true, source: 'api' });
    expect(`${list.stdout}${shown.stdout}`).not.toContain(token);
    expect(JSON.stringify(await database.knex('builders'))).not.toContain(token);
  });

  test('a machine over SSH is added without a token', async () => {
    const args = ['--uri', 'ssh-ng://nix@venus', '--systems', 'aarch64-linux', '--speed', '2'];
    expect(await ringmaster('builder', 'add', 'venus', ...args)).toMatchObject({
      status: 0,
      stdout: 'venus: registered\n',
    });
    expect((await ringmaster('builder', 'show', 'venus')).stdout).toMatch(/^uri +ssh-ng:\/\/nix@venus$/m);
    expect(await ringmaster('builder', 'token', 'venus')).toMatchObject({ status: 1, stdout: '' });
  });

  test('what cannot be is refused with a hint', async () => {
    const twice = await ringmaster('builder', 'add', 'mars');
    expect(twice).toMatchObject({ status: 1, stdout: '' });
    expect(twice.stderr).toMatch(/There is a builder 'mars' already[\s\S]*ringmaster builder remove mars/);
    const bad = await ringmaster('builder', 'add', 'moon', '--uri', 'ssh-ng://moon');
    expect(bad).toMatchObject({ status: 2, stdout: '' });
    expect(bad.stderr).toContain('--systems x86_64-linux');
    expect(await ringmaster('builder', 'add', 'moon', '--slots', 'many')).toMatchObject({ status: 2 });
    const unknown = await ringmaster('builder', 'show', 'pluto');
    expect(unknown).toMatchObject({ status: 1, stdout: '' });
    expect(unknown.stderr).toContain('There are: mars, venus.');
  });

  test('they are drained, disabled and enabled', async () => {
    const state = async () =>
      /^mars +agent +(\S.*?) {2}/m.exec((await ringmaster('builder', 'list')).stdout)?.[1];
    expect(await ringmaster('builder', 'drain', 'mars')).toMatchObject({
      status: 0,
      stdout: 'mars: draining, gets nothing more\n',
    });
    expect(await state()).toBe('draining');
    expect((await ringmaster('builder', 'disable', 'mars', '--json')).stdout).toBe(
      '{"name":"mars","changed":"disable"}\n',
    );
    expect(await state()).toBe('disabled');
    expect((await ringmaster('--quiet', 'builder', 'enable', 'mars')).stdout).toBe('');
    expect(await state()).toBe('never connected');
    for (const change of ['enable', 'disable', 'drain', 'remove']) {
      expect((await ringmaster('builder', change, 'pluto')).status, change).toBe(1);
    }
  });

  test('a token is replaced, and a builder is removed with it', async () => {
    const hash = async () => (await database.knex('builders').where({ name: 'mars' }).first()).token_hash;
    const before = await hash();
    const renewed = JSON.parse((await ringmaster('builder', 'token', 'mars', '--json')).stdout);
    expect(renewed).toEqual({ name: 'mars', token: expect.stringMatching(/^\S{30,}$/) });
    expect(await hash()).not.toEqual(before);
    expect((await ringmaster('builder', 'remove', 'mars')).stdout).toBe('mars: removed\n');
    expect((await ringmaster('builder', 'list')).stdout).not.toContain('mars');
    expect(await hash()).toBeNull();
    const own = { name: 'own', kind: 'ssh', systems: ['x86_64-linux'], features: [], slots: 1 };
    await database.knex('builders').insert({ ...own, source: 'config' });
    const described = await ringmaster('builder', 'remove', 'own');
    expect(described).toMatchObject({ stdout: '' });
    expect(described.stderr).toMatch(/described by the configuration file[\s\S]*disabled/);
  });
});

describe('projects', () => {
  test('are listed, paused, and go on', async () => {
    expect((await ringmaster('project', 'list')).stdout).toContain('Install the GitHub App');
    await upsertInstallation(database.knex, 1, 'acme');
    const facts = { githubRepositoryId: 7, installationId: 1, owner: 'acme', name: 'hello' };
    const about = { private: false, defaultBranch: 'main', asOf: new Date() };
    await upsertProject(database.knex, { ...facts, ...about });
    expect((await ringmaster('project', 'list')).stdout).toMatch(/^acme\/hello +enabled +public +main$/m);
    expect(await ringmaster('project', 'disable', 'ACME/Hello')).toMatchObject({
      status: 0,
      stdout: 'acme/hello: paused, nothing more is evaluated\n',
    });
    expect((await ringmaster('project', 'list')).stdout).toMatch(/^acme\/hello +paused /m);
    const { projects } = JSON.parse((await ringmaster('project', 'list', '--json')).stdout);
    expect(projects).toMatchObject([{ name: 'hello', enabled: false, pausedAt: expect.any(String) }]);
    expect((await ringmaster('project', 'enable', 'acme/hello', '--json')).stdout).toMatch(/"enabled":true/);
    expect((await ringmaster('project', 'list')).stdout).toMatch(/^acme\/hello +enabled /m);
  });

  test('that are not there are refused with a hint', async () => {
    for (const name of ['acme/nothing', 'hello', 'acme/hello/more']) {
      const { status, stdout, stderr } = await ringmaster('project', 'disable', name);
      expect({ status, stdout }, name).toEqual({ status: 1, stdout: '' });
      expect(stderr).toContain("'ringmaster project list' shows those there are.");
    }
  });
});

test('a database that no server has used is told from one of another version', async () => {
  const name = `empty_${crypto.randomUUID().replaceAll('-', '')}`;
  await database.knex.raw('create database ??', [name]);
  const env = { DATABASE_URL: database.url.replace(/\/test_[0-9a-f]+/, `/${name}`) };
  const { status, stdout, stderr } = await runInProcess(['builder', 'list'], env);
  expect({ status, stdout }).toEqual({ status: 3, stdout: '' });
  expect(stderr).toMatch(/The database is empty[\s\S]*migrate up/);
  await database.knex.raw('drop database ??', [name]);
});
