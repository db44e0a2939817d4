/** `ringmaster cache key|info`. They read the configuration and the key, and need no running server. */
import type { Config } from '../basics/config/index.ts';
import { exitStatus, OperatorError } from '../basics/index.ts';
import { findCacheKey } from '../cache/index.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';

interface Options {
  readonly json: boolean;
}

/** Prints the public key. */
export async function cacheKey(context: CommandContext, { json }: Options): Promise<number> {
  const { config } = await readConfiguration(context);
  const publicKey = await publicKeyOf(config);
  context.stdout.write(`${json ? JSON.stringify({ publicKey }) : publicKey}\n`);
  return exitStatus.ok;
}

/** Prints what somebody needs who wants to fetch from the cache. */
export async function cacheInfo(context: CommandContext, { json }: Options): Promise<number> {
  const { config } = await readConfiguration(context);
  const publicKey = await publicKeyOf(config);
  const { host, port, publicUrl } = config.server;
  const url = `${publicUrl ?? `http://${host}:${port}`}/cache`;
  const isPublic = config.cache.public;
  if (json) {
    context.stdout.write(`${JSON.stringify({ url, publicKey, public: isPublic })}\n`);
    return exitStatus.ok;
  }
  const access = isPublic
    ? ['Everybody may fetch from it.']
    : [
        'Fetching takes a token of `ringmaster token create`, as the password in a netrc file:',
        `  machine ${new URL(url).hostname} login any password TOKEN`,
      ];
  const lines = [
    `address     ${url}`,
    `public key  ${publicKey}`,
    '',
    'For nix.conf:',
    `  extra-substituters = ${url}`,
    `  extra-trusted-public-keys = ${publicKey}`,
    ...(isPublic ? [] : ['  netrc-file = /etc/nix/netrc']),
    '',
    ...access,
  ];
  context.stdout.write(lines.map((line) => `${line}\n`).join(''));
  return exitStatus.ok;
}

async function publicKeyOf(config: Config): Promise<string> {
  const key = await findCacheKey({ dataDir: config.dataDir, file: config.cache.secretKeyFile });
  if (key !== undefined) return key.publicKey;
  throw new OperatorError({
    code: 'signing-key-missing',
    message: `The cache has no key in ${config.dataDir} yet.`,
    hint: 'It is made when `ringmaster serve` starts for the first time.',
  });
}
