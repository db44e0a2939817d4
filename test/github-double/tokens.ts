/** Who calls: App JWTs, installation tokens, and what each may touch. */
import { randomBytes, verify } from 'node:crypto';
import { z } from 'zod';
import { ApiError, badCredentials, notAccessible, notFound, requiresAuthentication } from './api-error.ts';
import type { CallAuth } from './journal.ts';
import type { Needs } from './router.ts';
import {
  fullName,
  type Installation,
  type InstallationToken,
  type Level,
  type Permissions,
  type Repository,
  reaches,
  roleOf,
  type User,
  type World,
} from './world.ts';

/** GitHub's installation tokens live one hour. */
export const tokenLifetimeMs = 3_600_000;

export type Auth =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'jwt' }
  | { readonly kind: 'admin' }
  | { readonly kind: 'installation'; readonly token: InstallationToken }
  | { readonly kind: 'user'; readonly user: User };

/** Tokens of people who signed in through OAuth, by value. */
export type UserTokens = ReadonlyMap<string, User>;

/** Reads an Authorization header. Throws the refusal GitHub would answer. */
export function authenticate(world: World, header: string | undefined, people: UserTokens): Auth {
  if (header === undefined) return { kind: 'anonymous' };
  const value = credentialOf(header);
  if (value === undefined) throw badCredentials();
  if (value === world.adminToken) return { kind: 'admin' };
  if (value.split('.').length === 3) {
    verifyJwt(world, value);
    return { kind: 'jwt' };
  }
  const person = people.get(value);
  if (person) return { kind: 'user', user: person };
  return { kind: 'installation', token: liveToken(world, value) };
}

/** What the journal says about a caller: the scope, never the credential. */
export function describeAuth(world: World, auth: Auth): CallAuth {
  if (auth.kind !== 'installation') return { kind: auth.kind };
  const { installation, repositoryIds, permissions } = auth.token;
  const names = repositoryIds && [...repositoryIds].flatMap((id) => world.repositories.get(id) ?? []);
  return {
    kind: 'installation',
    installationId: installation.id,
    repositories: names ? names.map(fullName) : 'all',
    permissions,
  };
}

function credentialOf(header: string): string | undefined {
  const found = /^(bearer|token|basic)\s+(\S+)$/i.exec(header);
  const value = found?.[2];
  if (found?.[1]?.toLowerCase() !== 'basic' || value === undefined) return value;
  return Buffer.from(value, 'base64').toString('utf8').split(':').slice(1).join(':');
}

function liveToken(world: World, value: string): InstallationToken {
  const token = world.tokens.get(value);
  if (!token || token.expiresAt <= world.clock() || token.installation.deleted) throw badCredentials();
  if (token.installation.suspendedAt !== undefined) throw suspended();
  return token;
}

const claimsSchema = z.object({
  iat: z.number().optional(),
  exp: z.number().optional(),
  iss: z.union([z.string(), z.number()]).optional(),
});

const jwtRefused = (message: string) => new ApiError({ status: 401, message });

function verifyJwt(world: World, jwt: string): void {
  const undecodable = () => jwtRefused('A JSON web token could not be decoded');
  const [header = '', payload = '', signature = ''] = jwt.split('.');
  if (z.object({ alg: z.literal('RS256') }).safeParse(decode(header)).success === false) throw undecodable();
  const signed = Buffer.from(`${header}.${payload}`);
  if (!verify('RSA-SHA256', signed, world.app.publicKey, Buffer.from(signature, 'base64url'))) {
    throw undecodable();
  }
  const claims = claimsSchema.safeParse(decode(payload));
  if (!claims.success) throw undecodable();
  const { iat, exp, iss } = claims.data;
  const now = world.clock() / 1000;
  if (iat === undefined || iat > now + 60) {
    throw jwtRefused(
      "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
    );
  }
  if (exp === undefined || exp <= now) {
    throw jwtRefused(
      "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
    );
  }
  // Whole seconds on both sides: a token made for exactly ten minutes must pass.
  if (exp > Math.floor(now) + 600 + 1) {
    throw jwtRefused("'Expiration time' claim ('exp') is too far in the future");
  }
  if (iss === undefined) throw jwtRefused("Missing 'issuer' claim ('iss') in assertion");
  if (String(iss) !== String(world.app.id) && iss !== world.app.clientId) {
    throw new ApiError({ status: 404, message: 'Integration not found' });
  }
}

function decode(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}

export const suspended = () => new ApiError({ status: 403, message: 'This installation has been suspended' });

/** Makes a token; the caller has checked that the narrowing is within the installation. */
export function mintToken(
  world: World,
  installation: Installation,
  permissions: Permissions,
  repositoryIds: ReadonlySet<number> | undefined,
): InstallationToken {
  const token: InstallationToken = {
    value: `ghs_${randomBytes(27).toString('base64url').replace(/[-_]/g, 'x')}`,
    installation,
    permissions: { ...permissions, metadata: 'read' },
    repositoryIds,
    expiresAt: world.clock() + tokenLifetimeMs,
  };
  world.tokens.set(token.value, token);
  return token;
}

const rank: Readonly<Record<Level, number>> = { read: 1, write: 2, admin: 3 };

/** Whether `have` grants at least `wanted`. */
export function grants(have: Level | undefined, wanted: Level): boolean {
  return have !== undefined && rank[have] >= rank[wanted];
}

/** Whether a token was made for this repository. */
export function tokenReaches(token: InstallationToken, repository: Repository): boolean {
  if (!reaches(token.installation, repository)) return false;
  return token.repositoryIds === undefined || token.repositoryIds.has(repository.id);
}

/**
 * Throws unless the caller may do this to the repository. A private repository out of reach does
 * not exist (404); one within reach without the permission is forbidden (403).
 */
export function authorise(auth: Auth, repository: Repository | undefined, needs: Needs): Repository {
  if (!repository) throw notFound();
  if (auth.kind === 'admin') return repository;
  const reading = Object.values(needs).every((level) => level === 'read');
  const asStranger = (): Repository => {
    if (repository.private) throw notFound();
    if (!reading) throw auth.kind === 'anonymous' ? requiresAuthentication() : notAccessible();
    return repository;
  };
  if (auth.kind === 'anonymous') return asStranger();
  if (auth.kind === 'user') {
    const role = roleOf(repository, auth.user.login);
    if (role === 'none') throw notFound();
    if (!reading && !['admin', 'maintain', 'write'].includes(role)) throw notAccessible();
    return repository;
  }
  if (auth.kind === 'jwt') throw notAccessible();
  if (!tokenReaches(auth.token, repository)) return asStranger();
  const allowed = Object.entries(needs).some(([name, level]) => grants(auth.token.permissions[name], level));
  if (allowed) return repository;
  throw notAccessible(
    Object.entries(needs)
      .map(([name, level]) => `${name}=${level}`)
      .join('; '),
  );
}
