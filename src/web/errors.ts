/** Errors as people and programs should see them. Nothing of the inside shows. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { Logger } from '../basics/index.ts';
import { isConnectionError } from '../postgres/index.ts';
import type { AssetPaths } from './assets.ts';
import { failurePage } from './pages/failure.tsx';
import { ProblemError as ProblemClass, type ProblemError, problem, problemBody } from './problem.ts';

/** Seconds after which asking again makes sense while the database is away. */
const retryAfterSeconds = 5;

/** Problems for the API, designed pages for people. */
export function registerErrors(
  app: FastifyInstance,
  { assets, log }: { readonly assets: AssetPaths; readonly log: Logger },
): void {
  const answer = async (request: FastifyRequest, reply: FastifyReply, error: ProblemError) => {
    reply.code(error.statusCode).header('cache-control', 'no-store');
    if (error.statusCode === 503) reply.header('retry-after', String(retryAfterSeconds));
    if (wantsPage(request)) {
      return reply
        .type('text/html; charset=utf-8')
        .serializer(String)
        .send(await failurePage({ error, assets, requestId: request.id }));
    }
    return reply
      .type('application/problem+json; charset=utf-8')
      .serializer((body: unknown) => JSON.stringify(body))
      .send(problemBody(error, request.id));
  };

  app.setErrorHandler(async (error, request, reply) => {
    const known = asProblem(error);
    if (known.statusCode === 503)
      log.warn({ err: error, path: request.url }, 'a request could not be served');
    else if (known.statusCode >= 500)
      log.error({ err: error, requestId: request.id, path: request.url }, 'a request failed');
    // A stream that was already under way can only be cut; its viewer comes back by itself.
    if (reply.raw.headersSent) {
      reply.raw.destroy();
      return reply;
    }
    return answer(request, reply, known);
  });
  app.setNotFoundHandler((request, reply) =>
    answer(request, reply, problem(404, 'not-found', 'There is nothing at this address.')),
  );
}

function asProblem(error: unknown): ProblemError {
  if (error instanceof ProblemClass) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const detail = error.validation
      .map(({ instancePath, message }) => `${instancePath.replace(/^\//, '')}: ${message ?? 'is not valid'}`)
      .join('; ');
    return problem(400, 'bad-request', 'The request is not valid.', detail);
  }
  if (isConnectionError(error)) {
    return problem(503, 'database-away', 'The database does not answer right now.');
  }
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (error instanceof Error && status >= 400 && status < 500) {
    return problem(status, 'bad-request', error.message);
  }
  return problem(500, 'internal', 'Something went wrong on this server.');
}

/** Browsers say that they want a page; everything under /api gets problems whoever asks. */
function wantsPage(request: FastifyRequest): boolean {
  if (/^\/(?:api|cache)\//.test(request.url)) return false;
  return (request.headers.accept ?? '').includes('text/html');
}
