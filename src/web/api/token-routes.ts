/** Tokens, for bearers of tokens of the scope admin. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { notFound } from '../problem.ts';
import { type ApiToken, createToken, listTokens, revokeToken, tokenScopes } from '../tokens.ts';
import { type Access, adminOnly } from './access.ts';
import { idParams } from './routes.ts';
import { problemSchema } from './schemas.ts';

export const tokenSchema = z
  .object({
    id: z.number().int(),
    name: z.string(),
    scope: z
      .enum(tokenScopes)
      .describe('`read` sees private repositories, `admin` may change things as well'),
    createdAt: z.iso.datetime(),
    lastUsedAt: z.iso.datetime().nullable().describe('To the minute'),
    revokedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Token', description: 'What can be told of a token: never itself' });

export function tokenShape(token: ApiToken): z.infer<typeof tokenSchema> {
  return {
    id: token.id,
    name: token.name,
    scope: token.scope,
    createdAt: token.createdAt.toISOString(),
    lastUsedAt: token.lastUsedAt?.toISOString() ?? null,
    revokedAt: token.revokedAt?.toISOString() ?? null,
  };
}

export function tokenRoutes(access: Access): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', async (request) => access.requireAdmin(request));

    app.get(
      '/tokens',
      {
        schema: {
          operationId: 'listTokens',
          summary: 'Tokens of the API, revoked ones too',
          tags: ['Tokens'],
          ...adminOnly,
          response: { 200: z.object({ items: z.array(tokenSchema) }), '4xx': problemSchema },
        },
      },
      async (request) => ({ items: (await listTokens(access.readerOf(request).db)).map(tokenShape) }),
    );

    app.post(
      '/tokens',
      {
        schema: {
          operationId: 'createToken',
          summary: 'Make a token; it is in the answer and nowhere else',
          tags: ['Tokens'],
          ...adminOnly,
          body: z.object({
            name: z.string().min(1).max(200).describe('For people: who or what will use it'),
            scope: z.enum(tokenScopes).default('read'),
          }),
          response: {
            201: tokenSchema.extend({
              token: z.string().describe('To be sent as `Authorization: Bearer …`'),
            }),
            '4xx': problemSchema,
          },
        },
      },
      async (request, reply) => {
        const { token, secret } = await createToken(access.readerOf(request).db, request.body);
        reply.header('cache-control', 'no-store');
        return reply.code(201).send({ ...tokenShape(token), token: secret });
      },
    );

    app.delete(
      '/tokens/:id',
      {
        schema: {
          operationId: 'revokeToken',
          summary: 'Revoke a token, at once and for good',
          tags: ['Tokens'],
          ...adminOnly,
          params: idParams,
          response: { 204: z.null().describe('Revoked'), '4xx': problemSchema },
        },
      },
      async (request, reply) => {
        if (!(await revokeToken(access.readerOf(request).db, request.params.id))) throw notFound('token');
        return reply.code(204).send(null);
      },
    );
  };
}
