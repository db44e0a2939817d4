/** `ringmaster migrate up|status`: the database of DATABASE_URL, or the built-in one. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { exitStatus, OperatorError } from '../basics/index.ts';
import { migrate, migrationStatus } from '../postgres/index.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { withDatabase } from './database.ts';

interface Options {
  readonly json: boolean;
}

/** Applies what is pending. */
export async function migrateUp(context: CommandContext, { json }: Options): Promise<number> {
  const { config } = await readConfiguration(context);
  return withDatabase(context, config, async (database) => {
    const applied = await migrate(database, context.log);
    if (json) context.stdout.write(`${JSON.stringify({ applied })}\n`);
    else if (applied.length === 0) context.stdout.write('The database is up to date.\n');
    else for (const name of applied) context.stdout.write(`applied  ${name}\n`);
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

/** Looking must not create a database. */
async function requireCluster(dataDir: string): Promise<void> {
  const found = await stat(join(dataDir, 'postgres')).catch(() => undefined);
  if (found !== undefined) return;
  throw new OperatorError({
    code: 'database-missing',
    message: `There is no database in ${dataDir} yet.`,
    hint: "'ringmaster serve' creates it, and so does 'ringmaster migrate up'. For a server of your own set DATABASE_URL.",
    exitStatus: exitStatus.configuration,
  });
}
