/** Who asks the API: a visitor, or the bearer of a token, and what each may see and do. */
import type { FastifyRequest } from 'fastify';
import { problem } from '../problem.ts';
import type { Reader } from '../read/reader.ts';
import { scopeOfToken, type TokenScope } from '../tokens.ts';

export interface Access {
  /** To be run before any route: knows the bearer, refuses a token that is none. */
  authenticate(request: FastifyRequest): Promise<void>;
  /** What the one who asks may see. */
  readerOf(request: FastifyRequest): Reader;
  /** Throws unless the request may change things. */
  requireAdmin(request: FastifyRequest): void;
}

/** The words of the document for what needs a token. */
export const adminOnly = { security: [{ token: [] }] };

export function createAccess(visitors: Reader): Access {
  const scopes = new WeakMap<FastifyRequest, TokenScope>();
  const bearers: Reader = { ...visitors, showPrivate: true };
  return {
    async authenticate(request) {
      const secret = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
      if (secret === undefined) return;
      const scope = await scopeOfToken(visitors.db, secret);
      if (scope === undefined) {
        throw problem(401, 'bad-token', 'The token is not one of this server, or was revoked.');
      }
      scopes.set(request, scope);
    },
    readerOf: (request) => (scopes.has(request) ? bearers : visitors),
    requireAdmin(request) {
      const scope = scopes.get(request);
      if (scope === 'admin') return;
      if (scope === undefined) {
        const how = "Send 'Authorization: Bearer …'; 'ringmaster token create --scope admin' makes one.";
        throw problem(401, 'token-needed', 'This needs a token of the scope admin.', how);
      }
      throw problem(403, 'not-allowed', `This needs a token of the scope admin; this one has ${scope}.`);
    },
  };
}
