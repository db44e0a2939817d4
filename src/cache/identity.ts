/** Who asks a cache for something, and what they may. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Knex } from 'knex';

export type Identity =
  | { readonly kind: 'agent'; readonly builderId: number }
  | { readonly kind: 'token'; readonly id: number; readonly scope: string };

/** Tells whose a secret is; undefined: nobody's. */
export type Authorize = (secret: string) => Promise<Identity | undefined>;

/** May upload: agents what they are asked to build, tokens of administrators anything. */
export type MayUpload = (identity: Identity, path: string) => Promise<boolean>;

/** The secret of a request: of `Authorization: Bearer`, or the password of `Basic`, whoever the user. */
export function secretOf(request: IncomingMessage): string | undefined {
  const [, scheme, value] = /^(bearer|basic) +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (scheme === undefined || value === undefined) return undefined;
  if (scheme.toLowerCase() === 'bearer') return value;
  const decoded = Buffer.from(value, 'base64').toString('utf8');
  const password = decoded.slice(decoded.indexOf(':') + 1);
  // `http://TOKEN@host` has it as the user.
  return password === '' ? decoded.slice(0, -1) : password;
}

/** Milliseconds for which an answer is kept: how long a revoked token may go on. */
const believedMs = 5_000;
const maxRemembered = 1_000;

/** Knows agents' tokens and API tokens. They have 256 random bits, so a plain hash of them is enough. */
export function createAuthorize(db: Knex, now: () => number = () => performance.now()): Authorize {
  const remembered = new Map<string, { readonly identity: Identity; readonly at: number }>();
  return async (secret) => {
    const hash = createHash('sha256').update(secret).digest();
    const name = hash.toString('base64');
    const before = remembered.get(name);
    if (before !== undefined && now() - before.at < believedMs) return before.identity;
    remembered.delete(name);
    const identity = await identify(db, hash);
    if (identity === undefined) return undefined;
    if (remembered.size >= maxRemembered) remembered.clear();
    remembered.set(name, { identity, at: now() });
    return identity;
  };
}

async function identify(db: Knex, hash: Buffer): Promise<Identity | undefined> {
  const result = await db.raw<{ rows: { kind: string; id: number | string; scope: string }[] }>(
    `SELECT 'agent' AS kind, id, '' AS scope FROM builders WHERE token_hash = :hash AND removed_at IS NULL
     UNION ALL
     SELECT 'token', id, scope FROM api_tokens WHERE token_hash = :hash AND revoked_at IS NULL`,
    { hash },
  );
  const row = result.rows[0];
  if (row === undefined) return undefined;
  const id = Number(row.id);
  if (row.kind === 'agent') return { kind: 'agent', builderId: id };
  // Not with each request: a row that is written all the time is a row that is vacuumed all the time.
  await db('api_tokens')
    .where({ id })
    .andWhereRaw(`(last_used_at IS NULL OR last_used_at < now() - interval '1 minute')`)
    .update({ last_used_at: db.fn.now() });
  return { kind: 'token', id, scope: row.scope };
}

/** The rule by the attempts that run: an agent may upload what the builds it works on are to make, but not what it compares. */
export function createMayUpload(db: Knex): MayUpload {
  return async (identity, path) => {
    if (identity.kind === 'token') return identity.scope === 'admin';
    const found = await db('attempts')
      .join('builds', 'builds.id', 'attempts.build_id')
      .where({ 'attempts.builder_id': identity.builderId, 'attempts.state': 'running', check_id: null })
      .andWhereRaw(
        'EXISTS (SELECT 1 FROM jsonb_each_text(builds.outputs) AS output WHERE output.value = ?)',
        [path],
      )
      .first('builds.id');
    return found !== undefined;
  };
}

/** Whether a build of the derivation succeeded with that path as one of its outputs. */
export function createIsResult(db: Knex): (path: string, deriver: string) => Promise<boolean> {
  return async (path, deriver) => {
    const found = await db('builds')
      .where({ drv_path: deriver, state: 'succeeded', inputs_only: false })
      .andWhereRaw('EXISTS (SELECT 1 FROM jsonb_each_text(outputs) AS output WHERE output.value = ?)', [path])
      .first('id');
    return found !== undefined;
  };
}
