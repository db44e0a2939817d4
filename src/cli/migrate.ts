/** `ringmaster migrate up|status`: the database of DATABASE_URL, or the built-in one. */
import { exitStatus } from '../basics/index.ts';
import { migrate, migrationStatus } from '../postgres/index.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { requireCluster, withDatabase } from './database.ts';
import { plainLine } from './terminal/text.ts';

interface Options {
  readonly json: boolean;
}

/** Applies what is pending. */
export async function migrateUp(context: CommandContext, { json }: Options): Promise<number> {
  const { config } = await readConfiguration(context);
  return withDatabase(context, config, async (database) => {
    const applied = await migrate(database, context.log, {
      signal: context.interruption.signal,
      onWait: (blockers) => context.stderr.write(`waiting for ${plainLine(blockers)}\n`),
      onApplied: (name) => json || context.stdout.write(`applied  ${name}\n`),
    });
    if (json) context.stdout.write(`${JSON.stringify({ applied })}\n`);
    else if (applied.length === 0) context.stdout.write('The database is up to date.\n');
    return exitStatus.ok;
  });
}

/** Prints what is applied and what is pending; exit status 1 when something is. */
export async function migrateStatus(context: CommandContext, { json }: Options): Promise<number> {
  const { config } = await readConfiguration(context);
  if (config.database.url === undefined) await requireCluster(config.dataDir);
  return withDatabase(context, config, async (database) => {
    const status = await migrationStatus(database);
    const { applied, pending, unknown } = status;
    if (json) context.stdout.write(`${JSON.stringify({ applied, pending, unknown })}\n`);
    else {
      const lines = [
        ...applied.map((name) => `applied  ${name}`),
        ...pending.map((name) => `pending  ${name}`),
        ...unknown.map((name) => `unknown  ${name}  (applied by a newer version)`),
      ];
      context.stdout.write(lines.map((line) => `${line}\n`).join(''));
    }
    return pending.length > 0 || unknown.length > 0 ? exitStatus.failed : exitStatus.ok;
  });
}
