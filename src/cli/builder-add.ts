/** `ringmaster builder add` and `ringmaster builder token`: what prints a token, once. */
import { exitStatus } from '../basics/index.ts';
import { addBuilder as add, renewBuilderToken } from '../builders/index.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { withServerDatabase } from './database.ts';

export interface AddBuilderFlags {
  readonly uri?: string;
  readonly systems?: string;
  readonly features?: string;
  readonly mandatoryFeatures?: string;
  readonly slots?: number;
  readonly speed?: number;
  readonly trust?: string;
  readonly server?: string;
  readonly json?: boolean;
}

export async function addBuilder(
  context: CommandContext,
  name: string,
  flags: AddBuilderFlags,
): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    const { id, token } = await add(knex, {
      name,
      uri: flags.uri,
      systems: listOf(flags.systems),
      features: listOf(flags.features),
      mandatoryFeatures: listOf(flags.mandatoryFeatures),
      trustDomains: listOf(flags.trust),
      slots: flags.slots,
      speed: flags.speed,
    });
    if (flags.json) context.stdout.write(`${JSON.stringify({ id, name, token: token ?? null })}\n`);
    else if (token === undefined) context.stdout.write(`${name}: registered\n`);
    else {
      const { host, port, publicUrl } = config.server;
      tellToken(context, name, token, flags.server ?? publicUrl ?? `http://${host}:${port}`);
    }
    return exitStatus.ok;
  });
}

export async function renewToken(
  context: CommandContext,
  name: string,
  { json }: { readonly json: boolean },
): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    const token = await renewBuilderToken(knex, name);
    const { host, port, publicUrl } = config.server;
    if (json) context.stdout.write(`${JSON.stringify({ name, token })}\n`);
    else tellToken(context, name, token, publicUrl ?? `http://${host}:${port}`);
    return exitStatus.ok;
  });
}

function tellToken({ stdout, style }: CommandContext, name: string, token: string, server: string): void {
  stdout.write(
    `The token of ${name}. It is shown only now:\n\n  ${token}\n\n` +
      `${style.paint('muted', 'On that machine, which needs Nix and Node:')}\n\n` +
      `  (umask 077; echo ${token} > ${name}.token)\n` +
      `  ringmaster agent --server ${server} --token-file ${name}.token\n`,
  );
}

export function listOf(text: string | undefined): readonly string[] | undefined {
  return text
    ?.split(',')
    .map((word) => word.trim())
    .filter(Boolean);
}
