import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWorkshop, program, readEvents, root, type Workshop } from './run-program.ts';

const someUser = 65_534;
const user = process.getuid?.() === 0 ? someUser : (process.getuid?.() ?? someUser);
const namespacesAllowed = canUnshare();

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
  if (process.getuid?.() !== 0) return;
  for (const place of [workshop.folder, workshop.env.HOME ?? '']) await chown(place, user, user);
});
afterAll(() => workshop.remove());

/** As a user without rights, with the store of the machine not theirs and no daemon there. */
async function runAsUser(args: readonly string[]) {
  const [file = '', ...words] = program;
  const { NIX_REMOTE: _, ...env } = workshop.env;
  const child = spawn(file, [...words, ...args], {
    cwd: workshop.folder,
    env: { ...env, NIX_DAEMON_SOCKET_PATH: join(workshop.folder, 'no-daemon') },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(process.getuid?.() === 0 && { uid: user, gid: user }),
  });
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { stdout, stderr, status };
}

function canUnshare(): boolean {
  const { getuid } = process;
  try {
    execFileSync('unshare', ['--user', 'true'], {
      stdio: 'ignore',
      ...(getuid?.() === 0 && { uid: someUser, gid: someUser }),
    });
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(process.platform !== 'linux')('ringmaster run without root and without a Nix daemon', () => {
  it.runIf(namespacesAllowed)('builds in a store of the user, in the sandbox, and says where', async () => {
    const { stdout, stderr, status } = await runAsUser(['run', '--json', join(root, 'examples/hello')]);
    const store = join(workshop.env.HOME ?? '', '.local/share/nix/root');
    expect(stderr).toBe(`note: no Nix daemon runs here and /nix is not yours, so the store is in ${store}\n`);
    const { summary, builds } = readEvents(stdout);
    expect({ status, failed: summary.failed, errors: summary.errors }).toEqual({
      status: 0,
      failed: 0,
      errors: 0,
    });
    const greeting = builds.find(({ path }) => path.join('.') === 'greeting')?.outputs.out ?? '';
    expect(await readFile(join(store, greeting), 'utf8')).toMatch(/\S/);
  });

  it.runIf(namespacesAllowed)('tells how to read the log of a failure there', async () => {
    const { stdout, status } = await runAsUser(['run', join(root, 'examples/broken')]);
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /the whole log: nix-store --read-log --store \S+\/\.local\/share\/nix\/root \/nix\/store\//,
    );
  });

  it.runIf(namespacesAllowed)('shows that store in the doctor', async () => {
    const { stdout } = await runAsUser(['doctor']);
    expect(stdout).toMatch(/ok +nix .*a store of your own in \S+\/\.local\/share\/nix\/root/);
    expect(stdout).toMatch(/ok +sandbox +a build ran in it/);
  });

  it.runIf(!namespacesAllowed)(
    'says what forbids it where the kernel has no namespaces for users',
    async () => {
      const { stderr, status } = await runAsUser(['run', join(root, 'examples/hello')]);
      expect(status).toBe(3);
      expect(stderr).toMatch(/hint: .*user namespaces/);
    },
  );
});
