import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runInProcess } from './test-command-line.ts';

let server: Server;
let folder: string;
let status = 200;
const bodies: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    void text(request).then((body) => {
      bodies.push(body);
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const at = server.address();
  const url = `http://127.0.0.1:${typeof at === 'object' ? at?.port : 0}/T0/hush`;
  folder = await mkdtemp(join(tmpdir(), 'ringmaster-notification-'));
  const chat = `[[notifications]]\nname = "chat"\nkind = "slack"\nurl = "${url}"\n`;
  await writeFile(join(folder, 'ringmaster.toml'), chat);
});
afterAll(async () => {
  server?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

const ringmaster = (...args: string[]) =>
  runInProcess(['--config', join(folder, 'ringmaster.toml'), 'notification', ...args], {});

test('an example is sent to a target, and it is said whether it was taken', async () => {
  expect(await ringmaster('test', 'chat')).toMatchObject({ status: 0, stdout: 'chat took it.\n' });
  expect(bodies.join()).toContain('checks.example');
  status = 404;
  const refused = await ringmaster('test', 'chat');
  expect(refused).toMatchObject({ status: 1, stdout: '' });
  expect(refused.stderr).toContain('the notification target chat answered 404');
  expect((await ringmaster('test', 'chatt')).stderr).toContain('It has chat.');
});

test('who is told is listed without addresses, which may be secrets', async () => {
  const { stdout } = await ringmaster('list');
  expect(stdout).toMatch(/^chat +slack +broken,recovered +\* +the default branch$/m);
  const json = await ringmaster('list', '--json');
  expect(JSON.parse(json.stdout)).toMatchObject({ notifications: [{ name: 'chat', branches: null }] });
  const shown = await runInProcess(['--config', join(folder, 'ringmaster.toml'), 'config', 'show'], {});
  expect(`${stdout}${json.stdout}${shown.stdout}`).not.toContain('hush');
});
