/** Where Nix keeps what it remembers between runs. */
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../../basics/index.ts';
import type { CommandContext } from '../context.ts';

/** A folder for Nix's caches that is kept between runs: not the data directory, which a server may hold. */
export async function nixHome(env: CommandContext['env']): Promise<string> {
  const cache = env.XDG_CACHE_HOME || (env.HOME ? join(env.HOME, '.cache') : undefined);
  const home =
    cache === undefined ? join(tmpdir(), `ringmaster-${userInfo().uid}`) : join(cache, 'ringmaster', 'home');
  await makeFolder(home, 0o700);
  return home;
}
