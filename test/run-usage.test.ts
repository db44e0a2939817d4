import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWorkshop, root, type Workshop } from './run-program.ts';

const hello = join(root, 'examples/hello');

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.remove());

describe('the command line', () => {
  it.each([
    ['a folder that is not there', ['run', 'nowhere'], /error: There is no folder 'nowhere'\.\nhint: /],
    ['a file instead of a folder', ['run', join(hello, 'ci.nix')], /is not a folder\.\nhint: /],
    ['a misspelt command', ['rnu'], /unknown command 'rnu'[\s\S]*Did you mean run\?/],
    ['a misspelt option', ['run', '--jsno'], /unknown option '--jsno'[\s\S]*Did you mean --json\?/],
    ['no builds at a time', ['run', '-j', '0'], /must be a whole number from 1 to 1024/],
    ['two folders', ['run', 'a', 'b'], /too many arguments/],
    ['no command at all', [], /Usage: ringmaster/],
  ])('answers %s with exit status 2', async (_, args, message) => {
    const { status, stdout, stderr } = await workshop.run(args);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  it('says what to install where Nix is missing, with exit status 3', async () => {
    const { status, stdout, stderr } = await workshop.run(['run', hello], { PATH: '/nowhere' });
    expect({ status, stdout }).toEqual({ status: 3, stdout: '' });
    expect(stderr).toMatch(/^error: Nix was not found.*\nhint: .*apt-get install nix-bin/);
  });

  it('refuses a configuration with an unknown key, naming the nearest', async () => {
    const folder = await workshop.checkout({ 'ci.toml': '[builds]\nslot = 3\n' });
    const { status, stderr } = await workshop.run(['run', hello, '--config', join(folder, 'ci.toml')]);
    expect(status).toBe(3);
    expect(stderr).toMatch(/^error: .*builds\.slot\b[\s\S]*builds\.slots/);
  });

  it.each([
    ['a role that is not there', ['serve', '--roles', 'wbe'], {}, 2, /server\.roles.*flag --roles/],
    [
      'a file as data directory',
      ['serve', '--data-dir', join(hello, 'ci.nix')],
      {},
      3,
      /a file has that name/,
    ],
    [
      'a data directory below a file',
      ['serve', '--data-dir', join(hello, 'ci.nix/data')],
      {},
      3,
      /a file stands where a folder/,
    ],
    ['a private key that is none', ['serve'], { PRIVATE_KEY: 'none' }, 3, /PRIVATE_KEY.*PEM/],
    ['no URL of a database', ['serve'], { DATABASE_URL: 'nothing' }, 3, /DATABASE_URL.*postgresql:/],
    [
      'a database that is not there',
      ['serve', '--data-dir', 'd'],
      { DATABASE_URL: 'postgresql://127.0.0.1:1/x' },
      3,
      /127\.0\.0\.1:1\/x does not answer/,
    ],
  ])('refuses %s to the server, saying what is wrong', async (_, args, env, expected, message) => {
    const { status, stdout, stderr } = await workshop.run(args, env);
    expect({ status, stdout }).toEqual({ status: expected, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^error: .*\nhint: /m);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  it('says that a setting is a section where a value is given to it', async () => {
    const folder = await workshop.checkout({ 'ci.toml': 'server = 3000\n' });
    const { status, stderr } = await workshop.run(['config', 'show', '--config', join(folder, 'ci.toml')]);
    expect(status).toBe(3);
    expect(stderr).toMatch(/'server' is a section[\s\S]*\[server\]/);
  });

  it('refuses a bare repository, and says to clone it', async () => {
    const folder = await workshop.checkout({});
    execFileSync('git', ['init', '--quiet', '--bare', folder]);
    const { status, stderr } = await workshop.run(['run', folder]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/inside of a git repository[\s\S]*Clone it/);
  });

  it('warns when git does not read a checkout, so that ignored files count', async () => {
    const folder = await workshop.checkout({ 'ci.nix': '{ }', '.git': 'gitdir: /nowhere\n' });
    const { status, stderr } = await workshop.run(['run', folder]);
    expect(status).toBe(0);
    expect(stderr).toMatch(/^warning: git does not read .*ignored files included: .*\/nowhere/);
  });

  it('prints version, commit and Node on one line', async () => {
    const { status, stdout } = await workshop.run(['--version']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ringmaster \d+\.\d+\.\d+ \((commit [0-9a-f]{12}, )?node v\d+\.\d+\.\d+\)\n$/);
  });

  it.each(['', 'run', 'serve', 'doctor', 'migrate', 'migrate up', 'migrate status', 'config', 'config show'])(
    "shows help with an example for 'ringmaster %s'",
    async (command) => {
      const words = command.split(' ').filter((word) => word !== '');
      const { status, stdout } = await workshop.run([...words, '--help']);
      expect(status).toBe(0);
      expect(stdout).toMatch(/^Usage: ringmaster/);
      expect(stdout).toMatch(/Examples:\n {2}\$ .*ringmaster/);
    },
  );
});

describe('ringmaster config show', () => {
  it('prints each value in force and where it came from, and no secret', async () => {
    const folder = await workshop.checkout({ 'ci.toml': '[builds]\nslots = 7\n' });
    const { status, stdout } = await workshop.run(
      ['config', 'show', '--json', '--config', join(folder, 'ci.toml')],
      { PORT: '4321', WEBHOOK_SECRET: 'never-shown' },
    );
    expect(status).toBe(0);
    expect(stdout).not.toContain('never-shown');
    const { values } = JSON.parse(stdout);
    expect(values).toContainEqual(
      expect.objectContaining({ key: 'builds.slots', value: 7, source: expect.stringContaining('ci.toml') }),
    );
    expect(values).toContainEqual(
      expect.objectContaining({ key: 'server.port', value: 4321, source: expect.stringContaining('PORT') }),
    );
  });
});

describe('ringmaster doctor', () => {
  it('finds nothing missing where the tests run', async () => {
    const dataDir = join(workshop.folder, 'data');
    const { status, stdout } = await workshop.run(['doctor', '--json'], {
      RINGMASTER_DATA_DIR: dataDir,
      PORT: '0',
    });
    const { ok, checks } = JSON.parse(stdout);
    expect(checks.filter((check: { status: string }) => check.status === 'missing')).toEqual([]);
    expect({ ok, status }).toEqual({ ok: true, status: 0 });
    expect(checks.map((check: { name: string }) => check.name)).toEqual([
      'node',
      'configuration',
      'nix',
      'sandbox',
      'evaluator',
      'store space',
      'git',
      'bubblewrap',
      'data directory',
      'database',
      'github',
      'port',
    ]);
  });

  it('says what to do about each thing that is missing, with exit status 3', async () => {
    const { status, stdout } = await workshop.run(['doctor'], {
      PATH: '/nowhere',
      APP_ID: '1',
      DATABASE_URL: 'postgresql://127.0.0.1:1/nothing',
      RINGMASTER_DATA_DIR: join(hello, 'ci.nix', 'data'),
    });
    expect(status).toBe(3);
    expect(stdout).toMatch(/missing +nix .*\n +.*apt-get install nix-bin/);
    expect(stdout).toMatch(/missing +git .*\n +.*apt-get install git/);
    expect(stdout).toMatch(/missing +data directory .*\n +.*--data-dir/);
    expect(stdout).toMatch(/missing +database .*does not answer.*\n +.*DATABASE_URL/);
    expect(stdout).toMatch(/missing +github +not set: .*PRIVATE_KEY.*WEBHOOK_SECRET/);
  });
});

describe('ringmaster migrate', () => {
  it('does not create a database by looking, brings it up to date, and says so', async () => {
    const env = { RINGMASTER_DATA_DIR: join(workshop.folder, 'migrated') };
    expect(await workshop.run(['migrate', 'status'], env)).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('There is no database'),
    });
    const up = await workshop.run(['migrate', 'up'], env);
    expect(up).toMatchObject({ status: 0, stdout: expect.stringMatching(/^applied +0001_/) });
    const status = await workshop.run(['migrate', 'status', '--json'], env);
    expect(status.status).toBe(0);
    expect(JSON.parse(status.stdout)).toMatchObject({
      applied: expect.arrayContaining(['0001_processes']),
      pending: [],
      unknown: [],
    });
    expect((await workshop.run(['migrate', 'up'], env)).stdout).toBe('The database is up to date.\n');
  });
});
