/** `ringmaster token create|list|revoke`: who may use the API. */
import { exitStatus, OperatorError } from '../basics/index.ts';
import { type ApiToken, createToken, listTokens, revokeToken, type TokenScope } from '../web/index.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { withServerDatabase } from './database.ts';
import { formatTable } from './terminal/table.ts';
import { plainLine } from './terminal/text.ts';

interface Options {
  readonly json: boolean;
}

/** Prints the token on stdout alone, so that it can be piped; what it is, on stderr. */
export async function tokenCreate(
  context: CommandContext,
  name: string,
  { json, scope }: Options & { readonly scope: TokenScope },
): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    const { token, secret } = await createToken(knex, { name, scope });
    if (json) context.stdout.write(`${JSON.stringify({ ...shape(token), token: secret })}\n`);
    else {
      context.stdout.write(`${secret}\n`);
      if (!context.options.quiet) {
        context.stderr.write(`Token ${token.id}, scope ${scope}. It is shown this once and kept nowhere.\n`);
      }
    }
    return exitStatus.ok;
  });
}

export async function tokenList(context: CommandContext, { json }: Options): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    const tokens = (await listTokens(knex)).map(shape);
    if (json) context.stdout.write(`${JSON.stringify({ tokens })}\n`);
    else if (tokens.length === 0) context.stdout.write('There is no token.\n');
    else {
      const rows = tokens.map(({ id, name, scope, createdAt, lastUsedAt, revokedAt }) => [
        String(id),
        plainLine(name),
        scope,
        revokedAt === null ? 'in force' : 'revoked',
        createdAt.slice(0, 10),
        lastUsedAt?.slice(0, 10) ?? 'never',
      ]);
      const head = ['ID', 'NAME', 'SCOPE', 'STATE', 'CREATED', 'LAST USED'];
      context.stdout.write(`${formatTable(rows, context.style, head).join('\n')}\n`);
    }
    return exitStatus.ok;
  });
}

export async function tokenRevoke(context: CommandContext, id: number, { json }: Options): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    if (!(await revokeToken(knex, id))) {
      throw new OperatorError({
        code: 'no-such-token',
        message: `There is no token ${id} in force.`,
        hint: "'ringmaster token list' shows them.",
      });
    }
    if (json) context.stdout.write(`${JSON.stringify({ id, revoked: true })}\n`);
    else if (!context.options.quiet) context.stdout.write(`token ${id}: revoked\n`);
    return exitStatus.ok;
  });
}

function shape(token: ApiToken) {
  return {
    id: token.id,
    name: token.name,
    scope: token.scope,
    createdAt: token.createdAt.toISOString(),
    lastUsedAt: token.lastUsedAt?.toISOString() ?? null,
    revokedAt: token.revokedAt?.toISOString() ?? null,
  };
}
