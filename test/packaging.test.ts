/** The Nix package and the NixOS module, evaluated over a stub of nixpkgs: nothing is fetched or built. */
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { settings } from '../src/basics/config/index.ts';
import { runProcess } from '../src/basics/index.ts';

const evaluated = z.object({
  package: z.string(),
  lean: z.string(),
  module: z.object({
    failed: z.array(z.string()),
    settings: z.record(z.string(), z.unknown()),
    etc: z.record(z.string(), z.string()),
    wantedBy: z.array(z.string()),
    environment: z.record(z.string(), z.string()),
    serviceConfig: z.record(z.string(), z.unknown()),
  }),
  wrong: z.array(z.string()),
  unreadable: z.array(z.string()),
  elsewhere: z.record(z.string(), z.unknown()),
});
let found: z.infer<typeof evaluated>;

beforeAll(async () => {
  const root = fileURLToPath(new URL('../', import.meta.url)).replace(/\/$/, '');
  const stub = fileURLToPath(new URL('packaging/nixpkgs-stub.nix', import.meta.url));
  const args = [
    '--eval',
    '--strict',
    '--json',
    stub,
    '--arg',
    'root',
    root,
    '--argstr',
    'system',
    'x86_64-linux',
  ];
  const env = { PATH: process.env.PATH ?? '', NIX_REMOTE: 'dummy://', HOME: '/var/empty' };
  const { exitCode, stdout, stderr } = await runProcess('nix-instantiate', args, { env });
  expect({ exitCode, stderr: exitCode === 0 ? '' : stderr }).toEqual({ exitCode: 0, stderr: '' });
  found = evaluated.parse(JSON.parse(stdout));
});

test('the package can be put together from the lockfile alone', () => {
  expect(found.package).toMatch(/ringmaster-\d+\.\d+\.\d+\.drv$/);
  expect(found.lean).toMatch(/\.drv$/);
});

test('the module runs a server with its configuration looked through, and secrets as credentials', () => {
  const { module } = found;
  expect(module.failed).toEqual([]);
  expect(module.settings).toEqual({
    data_dir: '/var/lib/ringmaster',
    server: { public_url: 'https://ci.example.org' },
  });
  expect(module.etc['ringmaster/config.toml']).toMatch(/bin\/ringmaster --config \S+ config show >/);
  expect(module.serviceConfig).toMatchObject({
    ExecStart: expect.stringMatching(/\/bin\/ringmaster serve --config \//),
    LoadCredential: ['github.private_key:/run/secrets/app.pem'],
    User: 'ringmaster',
  });
  expect(module).toMatchObject({ environment: { APP_ID: '12345' }, wantedBy: ['multi-user.target'] });
});

test('every setting that is secret can be given to the module as a credential, and nothing else', () => {
  const secrets = settings.filter(({ notes }) => notes.secret).map(({ key }) => key);
  expect(found.wrong).toEqual([`services.ringmaster.credentials: there are ${secrets.join(', ')}.`]);
});

test('the module refuses a file that the look through the configuration cannot read, and lets the data be elsewhere', () => {
  expect(found.unreadable).toEqual([
    'services.ringmaster.settings.github.private_key_path: name the file in credentials."github.private_key".',
  ]);
  expect(found.elsewhere).toMatchObject({ ProtectSystem: 'strict', ReadWritePaths: ['/srv/ci'] });
});
