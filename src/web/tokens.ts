/** Tokens of the API: 256 random bits, shown once; only their SHA-256 is kept. */
import { createHash, randomBytes } from 'node:crypto';
import type { Knex } from 'knex';
import { z } from 'zod';

export const tokenScopes = ['read', 'admin'] as const;
/** `read` sees private repositories, too; `admin` may change things as well. */
export type TokenScope = (typeof tokenScopes)[number];

/** What can be told of a token: never itself. */
export interface ApiToken {
  readonly id: number;
  readonly name: string;
  readonly scope: TokenScope;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | undefined;
  readonly revokedAt: Date | undefined;
}

/** So that tokens that leak into logs and repositories are found by scanners. */
const prefix = 'rmt_';
const pattern = /^rmt_[A-Za-z0-9_-]{43}$/;

const row = z
  .object({
    id: z.number(),
    name: z.string(),
    scope: z.enum(tokenScopes),
    created_at: z.date(),
    last_used_at: z.date().nullable(),
    revoked_at: z.date().nullable(),
  })
  .transform(
    (found): ApiToken => ({
      id: found.id,
      name: found.name,
      scope: found.scope,
      createdAt: found.created_at,
      lastUsedAt: found.last_used_at ?? undefined,
      revokedAt: found.revoked_at ?? undefined,
    }),
  );
const columns = ['id', 'name', 'scope', 'created_at', 'last_used_at', 'revoked_at'];

/** Makes a token; `secret` is what its owner sends, and is known only here and now. */
export async function createToken(
  db: Knex,
  { name, scope }: { readonly name: string; readonly scope: TokenScope },
): Promise<{ readonly token: ApiToken; readonly secret: string }> {
  const secret = prefix + randomBytes(32).toString('base64url');
  const [created]: unknown[] = await db('api_tokens')
    .insert({ name, scope, token_hash: hashOf(secret) })
    .returning(columns);
  return { token: row.parse(created), secret };
}

/** All tokens, revoked ones too, the newest last. */
export async function listTokens(db: Knex): Promise<readonly ApiToken[]> {
  return z.array(row).parse(await db('api_tokens').select(columns).orderBy('id'));
}

/** Ends a token for good. False when there is none of that id that is not revoked. */
export async function revokeToken(db: Knex, id: number): Promise<boolean> {
  const revoked = await db('api_tokens')
    .where({ id })
    .whereNull('revoked_at')
    .update({ revoked_at: db.fn.now() });
  return revoked > 0;
}

/** What the bearer of this may do; undefined for anything that is not a token in force. */
export async function scopeOfToken(db: Knex, secret: string): Promise<TokenScope | undefined> {
  if (!pattern.test(secret)) return undefined;
  const found: unknown = await db('api_tokens')
    .select('id', 'scope', db.raw(`last_used_at > now() - interval '1 minute' AS fresh`))
    .where({ token_hash: hashOf(secret) })
    .whereNull('revoked_at')
    .first();
  if (found === undefined) return undefined;
  const used = z
    .object({ id: z.number(), scope: z.enum(tokenScopes), fresh: z.boolean().nullable() })
    .parse(found);
  if (!used.fresh) await db('api_tokens').where({ id: used.id }).update({ last_used_at: db.fn.now() });
  return used.scope;
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
