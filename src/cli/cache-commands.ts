/** `ringmaster cache …`. Their code is loaded when one of them runs. */
import type { Command } from 'commander';
import { examples, type Perform } from './command-parts.ts';

export function addCacheCommands(program: Command, perform: Perform): void {
  const command = program
    .command('cache')
    .summary('how to use the binary cache of this server')
    .description('Says how to use the binary cache of this server.');
  const key = command
    .command('key')
    .summary('print the public key that its paths are signed with')
    .description(
      'Prints the public key that its paths are signed with, for `trusted-public-keys` of nix.conf.',
    )
    .option('--json', 'print one JSON document')
    .action((options: { json?: boolean }) =>
      perform(async (context) => {
        const { cacheKey } = await import('./cache.ts');
        return cacheKey(context, { json: options.json === true });
      }),
    );
  const info = command
    .command('info')
    .summary('print its address, its key, and the lines for nix.conf')
    .description('Prints its address, its key, who may read it, and the lines for nix.conf.')
    .option('--json', 'print one JSON document')
    .action((options: { json?: boolean }) =>
      perform(async (context) => {
        const { cacheInfo } = await import('./cache.ts');
        return cacheInfo(context, { json: options.json === true });
      }),
    );
  examples(command, [['ringmaster cache info', 'what to put into nix.conf']]);
  examples(key, [['ringmaster cache key', 'the public key alone']]);
  examples(info, [['ringmaster cache info --json', 'for programs']]);
}
