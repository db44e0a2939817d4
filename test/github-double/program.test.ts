import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Child, killGroup, startProcess } from '../../src/basics/process.ts';
import { asObject, type JsonObject } from './json.ts';

let child: Child;
let ready: JsonObject = {};
let place = '';

beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 'double-program-'));
  const source = join(place, 'source');
  await mkdir(join(source, 'nix'), { recursive: true });
  await writeFile(join(source, 'nix/ci.nix'), '{ }\n');
  const main = join(import.meta.dirname, 'main.ts');
  const args = ['--import', 'tsx', main, '--data-dir', join(place, 'data'), '--repo', `demo/app=${source}`];
  child = startProcess(process.execPath, args, {
    env: { PATH: process.env.PATH ?? '' },
    cwd: join(import.meta.dirname, '../..'),
  });
  const errors: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk.toString()));
  for await (const line of createInterface({ input: child.stdout })) {
    ready = asObject(JSON.parse(line));
    break;
  }
  if (ready.url === undefined) throw new Error(`The program did not start: ${errors.join('')}`);
});

afterAll(async () => {
  const closed = new Promise((resolve) => child.once('close', resolve));
  killGroup(child, 'SIGTERM');
  expect(await closed).toBe(0);
  await rm(place, { recursive: true });
});

const call = async (method: string, path: string, body?: unknown) => {
  const response = await fetch(`${ready.url}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  return { status: response.status, text: await response.text() };
};

test('the program says how to reach it and what to put into the environment', () => {
  expect(ready).toMatchObject({ appId: 4242, environment: { GHE_PROTOCOL: 'http', APP_ID: '4242' } });
});

test('a script pushes and opens a pull request, and a person reads the result in a browser', async () => {
  const push = await call('POST', '/_double/push', {
    repo: 'demo/app',
    files: { a: '<b>' },
    message: '<i>hello',
  });
  const { sha } = JSON.parse(push.text);
  const pull = await call('POST', '/_double/pull-requests', {
    repo: 'demo/app',
    head: 'x',
    files: { x: '1' },
  });
  expect(JSON.parse(pull.text)).toMatchObject({ number: 1, headRepo: 'demo/app' });

  expect((await call('GET', '/')).text).toContain('<a href="/demo/app">demo/app</a>');
  const page = (await call('GET', '/demo/app')).text;
  expect(page).toContain(`/demo/app/commit/${sha}`);
  expect(page).toContain('&lt;i&gt;hello');
  expect((await call('GET', `/demo/app/commit/${sha}`)).text).toContain('Nothing has been reported yet.');
  expect((await call('GET', '/nobody/nothing')).status).toBe(404);
  expect(JSON.parse((await call('GET', `/_double/check-runs?sha=${sha}`)).text)).toEqual([]);
});

test('a mistake in a script is answered in words', async () => {
  expect(await call('POST', '/_double/push', { repo: 'demo/app', filez: {} })).toMatchObject({ status: 422 });
  const unknown = await call('POST', '/_double/nonsense');
  expect([unknown.status, unknown.text.includes('POST pull-requests')]).toEqual([404, true]);
  expect((await call('POST', '/_double/push', { repo: 'demo/none' })).text).toContain(
    "no repository 'demo/none'",
  );
});
