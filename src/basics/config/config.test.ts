import { generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConfigFlag, loadConfig } from './index.ts';

const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

describe('the configuration', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ringmaster-config-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  function load(env: Record<string, string> = {}, flags: ConfigFlag[] = [], configFile?: string) {
    const machine = { isRoot: true, cores: 6 };
    return loadConfig({ env, flags, workingDirectory: directory, configFile, machine });
  }
  const write = (text: string, name = 'ringmaster.toml') => writeFile(join(directory, name), text);
  const shownValue = async (key: string, loading: ReturnType<typeof load>) =>
    (await loading).values.find((value) => value.key === key);

  it('needs nothing: everything has a default', async () => {
    const { config, file, warnings } = await load();
    expect(config).toMatchObject({
      dataDir: '/var/lib/ringmaster',
      server: { host: '127.0.0.1', port: 3000, roles: ['web', 'evaluator', 'scheduler'] },
      builds: { slots: 6, sandbox: 'required' },
      web: { privateProjects: 'hidden' },
    });
    expect(config.database.url).toBeUndefined();
    expect({ file, warnings }).toEqual({ file: undefined, warnings: [] });
  });

  it('takes flags over environment over file over default, and remembers which', async () => {
    await write('[server]\nport = 1\nhost = "0.0.0.0"\n[log]\nlevel = "debug"\n');
    const env = { PORT: '2', LOG_LEVEL: 'warn' };
    const { config, values } = await load(env, [{ key: 'server.port', name: '--port', value: 4 }]);
    expect(config.server).toMatchObject({ port: 4, host: '0.0.0.0' });
    expect(config.log.level).toBe('warn');
    const sources = Object.fromEntries(values.map(({ key, source }) => [key, source]));
    expect(sources).toMatchObject({
      'server.port': 'flag --port',
      'server.host': `file ${join(directory, 'ringmaster.toml')}`,
      'log.level': 'environment variable LOG_LEVEL',
      'builds.slots': 'default',
      'server.public_url': 'not set',
    });
  });

  it('ignores flags that were not given and variables that are empty', async () => {
    const flags = [{ key: 'server.port', name: '--port', value: undefined }];
    expect((await load({ PORT: '', RINGMASTER_SERVER_PORT: '' }, flags)).config.server.port).toBe(3000);
  });

  it('reads every setting from RINGMASTER_SECTION_KEY, which wins over the customary name', async () => {
    const { config } = await load({
      PORT: '1',
      RINGMASTER_SERVER_PORT: '2',
      RINGMASTER_SERVER_ROLES: 'web, scheduler',
      RINGMASTER_EVALUATION_ALLOWED_URIS: 'https://a.example,https://b.example',
      RINGMASTER_EVALUATION_ATTRIBUTE_TIMEOUT: '9',
      APP_ID: '12345',
    });
    expect(config.server).toMatchObject({ port: 2, roles: ['web', 'scheduler'] });
    expect(config.evaluation).toMatchObject({
      allowedUris: ['https://a.example', 'https://b.example'],
      attributeTimeout: 9,
    });
    expect(config.github.appId).toBe('12345');
  });

  it('makes the data directory absolute', async () => {
    expect((await load({ RINGMASTER_DATA_DIR: 'state' })).config.dataDir).toBe(join(directory, 'state'));
    const user = { env: { HOME: '/home/ada' }, workingDirectory: '/', machine: { isRoot: false, cores: 1 } };
    expect((await loadConfig(user)).config.dataDir).toBe('/home/ada/.local/state/ringmaster');
  });

  describe('the file', () => {
    it('is the one named by --config, before RINGMASTER_CONFIG, before ./ringmaster.toml, before the home', async () => {
      await mkdir(join(directory, 'xdg', 'ringmaster'), { recursive: true });
      await write('[server]\nport = 4', 'xdg/ringmaster/config.toml');
      const env = { XDG_CONFIG_HOME: join(directory, 'xdg') };
      expect((await load(env)).config.server.port).toBe(4);
      await write('[server]\nport = 3');
      expect((await load(env)).config.server.port).toBe(3);
      await write('[server]\nport = 2', 'two.toml');
      const named = { ...env, RINGMASTER_CONFIG: 'two.toml' };
      expect((await load(named)).config.server.port).toBe(2);
      await write('[server]\nport = 1', 'one.toml');
      const one = await load(named, [], 'one.toml');
      expect(one.config.server.port).toBe(1);
      expect(one.file).toBe(join(directory, 'one.toml'));
    });

    it('must exist when it was named', async () => {
      await expect(load({}, [], 'none.toml')).rejects.toMatchObject({
        code: 'config-file-unreadable',
        exitStatus: 3,
        message: expect.stringContaining(join(directory, 'none.toml')),
      });
    });

    it('with a mistake in its format is refused with the place', async () => {
      await write('[server]\nport = \n');
      await expect(load()).rejects.toMatchObject({
        code: 'config-file-invalid',
        message: expect.stringMatching(/ringmaster\.toml:2:\d+ is not valid TOML/),
      });
    });

    it.each([
      ['[server]\nprot = 1', 'server.prot', 'server.port', '2:1'],
      ['\n# ours\n[sever]\nport = 1', 'sever', 'server', '3:2'],
      ['port = 1', 'port', 'server.port', '1:1'],
      ['[builds]\nmaxSilent = 1', 'builds.maxSilent', 'builds.max_silent', '2:1'],
      ['server = { host = "::", prot = 1 }', 'server.prot', 'server.port', '1:25'],
      ['[server]\r\nroles = [\r\n  "web",\r\n]\r\n  prot = 1\r\n', 'server.prot', 'server.port', '5:3'],
    ])(
      'with an unknown key (%j) is refused at its place with the nearest key',
      async (text, key, meant, place) => {
        await write(text);
        await expect(load()).rejects.toMatchObject({
          code: 'config-key-unknown',
          exitStatus: 3,
          message: `${join(directory, 'ringmaster.toml')}:${place}: there is no setting '${key}'. Did you mean '${meant}'?`,
        });
      },
    );

    it('does not take text for a number', async () => {
      await write('[server]\nport = "80"');
      await expect(load()).rejects.toMatchObject({
        code: 'config-value-invalid',
        exitStatus: 3,
        message: `server.port = "80", from file ${join(directory, 'ringmaster.toml')}:2:1, is not usable. It must be a port number from 0 to 65535.`,
      });
    });

    it('does not take a value where a section belongs', async () => {
      await write('log = { level = "info" }\nserver = 1');
      await expect(load()).rejects.toMatchObject({
        code: 'config-key-unknown',
        message: expect.stringContaining("ringmaster.toml:2:1: 'server' is a section"),
      });
    });

    it.each([
      [
        'slots = 0',
        /builders\[1\]\.slots = 0, from file \S+\.toml:8:1, is not usable \(.+\)\. builders must be/,
      ],
      ['slot = 2', /builders\[1\]\.slot = 2, from file \S+\.toml:8:1, is not a key that there is/],
      ['systems = "x86_64-linux"', /builders\[1\]\.systems = "x86_64-linux", from file \S+\.toml:8:1, /],
      ['', /builders\[1\]\.systems, from file \S+\.toml:5:3, is missing/],
    ])('names the machine and the line of what is wrong with it (%j)', async (line, words) => {
      const machine = (name: string) => `[[builders]]\nname = "${name}"\nuri = "ssh-ng://${name}"\n`;
      const rest = line.startsWith('sl') ? 'systems = ["x86_64-linux"]\n' : '';
      const first = `${machine('a')}systems = ["x86_64-linux"]\n`;
      await write(`${first}${machine('b')}${line}\n${rest}`);
      await expect(load()).rejects.toThrow(words);
    });

    it('tells the line that names a file of a secret that is not there', async () => {
      await write('[github]\n\nprivate_key_path = "none.pem"');
      await expect(load()).rejects.toThrow(/private_key_path \(file \S+ringmaster\.toml:3:1\)/);
    });
  });

  it.each([
    [{ PORT: '70000' }, 'server.port = "70000", from environment variable PORT'],
    [{ RINGMASTER_SERVER_ROLES: 'web,wbe' }, 'server.roles = "web,wbe"'],
    [{ RINGMASTER_SERVER_PUBLIC_URL: 'ci.example.org' }, 'server.public_url'],
    [{ DATABASE_URL: 'mysql://me:hunter2@host/db' }, 'database.url, from environment variable DATABASE_URL'],
  ])('refuses %j with the setting and its source', async (env, words) => {
    const error = await load(env).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'config-value-invalid', exitStatus: 3 });
    expect(error.message).toContain(words);
    expect(error.message).not.toContain('hunter2');
  });

  it('takes tables from the environment as JSON, and what is true or false', async () => {
    const machine = { name: 'mars', uri: 'ssh-ng://mars', systems: ['x86_64-linux'] };
    const { config } = await load({ RINGMASTER_BUILDERS: JSON.stringify([machine]) });
    expect(config.builders).toMatchObject([{ ...machine, slots: 1 }]);
    expect((await load({ RINGMASTER_CACHE_PUBLIC: 'true' })).config.cache.public).toBe(true);
    await expect(load({ RINGMASTER_BUILDERS: '[{"name":"mars"}' })).rejects.toThrow(/builders = /);
  });

  it('refuses blanks and NUL bytes where a name belongs', async () => {
    for (const text of ['  ', 'a\\u0000b']) {
      await write(`[server]\nhost = "${text}"`);
      await expect(load()).rejects.toThrow(/server\.host.*ringmaster\.toml:2:1/);
    }
  });

  it('warns of an address with a path, at which pages do not find each other', async () => {
    const { warnings } = await load({ RINGMASTER_SERVER_PUBLIC_URL: 'https://example.org/ci/' });
    expect(warnings).toEqual([expect.stringContaining('(/ci)')]);
    expect((await load({ RINGMASTER_SERVER_PUBLIC_URL: 'https://ci.example.org/' })).warnings).toEqual([]);
  });

  it('warns of variables that name no setting', async () => {
    const { warnings } = await load({ RINGMASTER_SERVER_PROT: '1', RINGMASTER_TOKEN: 'x' });
    expect(warnings).toEqual([
      'The environment variable RINGMASTER_SERVER_PROT names no setting. Did you mean RINGMASTER_SERVER_PORT?',
    ]);
  });

  describe('secrets', () => {
    it.each([
      ['as it is', pem],
      ['with \\n written out', pem.replaceAll('\n', '\\n')],
      ['in base64', Buffer.from(pem).toString('base64')],
    ])('take a private key %s', async (_form, text) => {
      expect((await load({ PRIVATE_KEY: text })).config.github.privateKey).toBe(pem);
    });

    it('refuse what is no private key, without repeating it', async () => {
      const error = await load({ PRIVATE_KEY: 'hunter2' }).catch((thrown) => thrown);
      expect(error.message).toContain('github.private_key, from environment variable PRIVATE_KEY');
      expect(error.message).not.toContain('hunter2');
    });

    it('take a private key from a file beside the configuration that names it', async () => {
      await mkdir(join(directory, 'etc'));
      await write(pem, 'etc/key.pem');
      await write('[github]\nprivate_key_path = "key.pem"', 'etc/ci.toml');
      const loading = load({}, [], 'etc/ci.toml');
      expect((await loading).config.github.privateKey).toBe(pem);
      expect(await shownValue('github.private_key', loading)).toMatchObject({
        source: `file ${join(directory, 'etc', 'key.pem')}`,
      });
    });

    it('prefer the key itself over a path to one', async () => {
      const env = { PRIVATE_KEY: pem, PRIVATE_KEY_PATH: '/nowhere' };
      expect((await load(env)).config.github.privateKey).toBe(pem);
    });

    it('come from files named by _FILE variables, without the last line end', async () => {
      await write('s3cret\n', 'secret');
      const loading = load({ WEBHOOK_SECRET_FILE: join(directory, 'secret') });
      expect((await loading).config.github.webhookSecret).toBe('s3cret');
    });

    it('must not be given twice', async () => {
      const env = { WEBHOOK_SECRET: 'a', WEBHOOK_SECRET_FILE: '/b' };
      await expect(load(env)).rejects.toMatchObject({ code: 'config-given-twice' });
    });

    it('say which file is missing', async () => {
      await expect(load({ WEBHOOK_SECRET_FILE: '/nowhere' })).rejects.toMatchObject({
        code: 'secret-file-unreadable',
        message: expect.stringContaining('/nowhere, named by WEBHOOK_SECRET_FILE'),
      });
    });

    it("say that one of systemd's credentials cannot be read, instead of going without", async () => {
      await mkdir(join(directory, 'github.webhook_secret'));
      await expect(load({ CREDENTIALS_DIRECTORY: directory })).rejects.toMatchObject({
        code: 'secret-file-unreadable',
        message: expect.stringContaining('the systemd credential github.webhook_secret'),
      });
    });

    it("come from systemd's credentials", async () => {
      await write('s3cret', 'github.webhook_secret');
      const loading = load({ CREDENTIALS_DIRECTORY: directory });
      expect((await loading).config.github.webhookSecret).toBe('s3cret');
      expect(await shownValue('github.webhook_secret', loading)).toMatchObject({
        source: 'systemd credential github.webhook_secret',
      });
    });

    it('are masked where values are shown', async () => {
      const { values } = await load({
        PRIVATE_KEY: pem,
        WEBHOOK_SECRET: 'hunter2',
        DATABASE_URL: 'postgresql://ci:hunter2@db.example:5432/ci',
      });
      const shown = JSON.stringify(values);
      expect(shown).not.toContain('hunter2');
      expect(shown).not.toContain('PRIVATE KEY');
      expect(shown).toContain('postgresql://ci:********@db.example:5432/ci');
    });
  });
});
