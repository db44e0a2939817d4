/** Builds and their logs. */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { keptSince, listChecks } from '../../builds/index.ts';
import { readLog, readPhases } from '../../logs/index.ts';
import type { EventStreams } from '../live/event-stream.ts';
import type { FanOut } from '../live/fan-out.ts';
import { followLog } from '../live/log-stream.ts';
import { notFound, problem } from '../problem.ts';
import { type AttemptRow, listAttempts, readAttempt, readBuild } from '../read/builds.ts';
import type { Reader } from '../read/reader.ts';
import { readByteRange } from './byte-range.ts';
import { type ApiContext, idParams } from './routes.ts';
import { buildSchema, problemSchema } from './schemas.ts';
import { buildShape } from './shapes.ts';

/** Bytes that are read at once and, for a slow reader, held. */
const pieceBytes = 256 * 1024;

const logQuery = z.object({
  from: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0).describe('Byte offset'),
  attempt: z.coerce
    .number()
    .int()
    .positive()
    .max(Number.MAX_SAFE_INTEGER)
    .optional()
    .describe('Id of an attempt of this build; the newest without it'),
});

/** A buffer goes out as it is; a string would not leave invalid UTF-8 alone. */
const bytesSchema = z.unknown().meta({ type: 'string' });

export interface BuildApiContext extends ApiContext {
  readonly streams: EventStreams;
  readonly logs: FanOut;
}

export function buildRoutes({ access, streams, logs }: BuildApiContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/builds/:id',
      {
        schema: {
          operationId: 'getBuild',
          summary: 'One build with its attempts',
          tags: ['Builds'],
          params: idParams,
          response: { 200: buildSchema, '4xx': problemSchema },
        },
      },
      async (request) => {
        const reader = access.readerOf(request);
        const build = await readBuild(reader, request.params.id);
        if (!build) throw notFound('build');
        const attempts = await listAttempts(reader, build.id);
        const ids = attempts.map((attempt) => attempt.id);
        const [phases, checks, keptAt] = await Promise.all([
          readPhases(reader.db, ids),
          listChecks(reader.db, build.id),
          keptSince(reader.db, build.id),
        ]);
        return buildShape(build, attempts, phases, checks, keptAt);
      },
    );

    app.get(
      '/builds/:id/log',
      {
        schema: {
          operationId: 'getBuildLog',
          summary: 'The log of a build, as the builder printed it',
          description:
            'All of it from `from` on, as far as there is. `X-Next-Byte` is the offset to ask for next, and ' +
            '`X-Log-Complete` says whether that would be the end for good. Without `from`, a `Range` header ' +
            'of one range is answered with that part of what there is.',
          tags: ['Builds'],
          params: idParams,
          querystring: logQuery,
          response: {
            200: { description: 'Bytes of the log', content: { 'text/plain': { schema: bytesSchema } } },
            206: { description: 'The range', content: { 'text/plain': { schema: bytesSchema } } },
            '4xx': problemSchema,
          },
        },
      },
      async (request, reply) => {
        const reader = access.readerOf(request);
        const attempt = await findAttempt(reader, request.params.id, request.query.attempt);
        const { from, end } = partOf(request, reply, attempt, request.query.from);
        reply.headers({
          'content-type': 'text/plain; charset=utf-8',
          // Never in a cache that others share: the repository may become private.
          'cache-control': attempt.log_complete ? 'private, max-age=3600' : 'no-store',
          'x-next-byte': String(end),
          'x-log-complete': String(attempt.log_complete),
        });
        return reply.send(Readable.from(logPieces(reader, attempt.id, from, end), { objectMode: false }));
      },
    );

    app.get(
      '/builds/:id/log/stream',
      {
        exposeHeadRoute: false,
        schema: {
          operationId: 'streamBuildLog',
          summary: 'The log of a build, live',
          description:
            'Server-sent events. `log` events carry a JSON string of text and have the offset after it as ' +
            'their id, so that a client which comes back (`Last-Event-ID`) goes on there; `end` is the last.',
          tags: ['Builds'],
          params: idParams,
          querystring: logQuery,
          response: {
            200: { description: 'Events', content: { 'text/event-stream': { schema: z.string() } } },
            '4xx': problemSchema,
          },
        },
      },
      async (request, reply) => {
        const reader = access.readerOf(request);
        const attempt = await findAttempt(reader, request.params.id, request.query.attempt);
        const fromByte = lastEventByte(request.headers['last-event-id']) ?? request.query.from;
        const stream = streams.open(reply);
        const isLost = async () => (await readAttempt(reader, attempt.id))?.state === 'lost';
        const isVisible = async () => (await readBuild(reader, attempt.build_id)) !== undefined;
        await followLog(
          { db: reader.db, attemptId: attempt.id, fromByte, isLost, isVisible },
          logs,
          stream,
          ({ bytes, nextByte }) =>
            stream.send({ name: 'log', id: String(nextByte), data: JSON.stringify(bytes.toString('utf8')) }),
        );
        await stream.send({ name: 'end', data: '' });
        stream.end();
      },
    );
  };
}

/** The part of a log that is asked for; says so in the answer's headers when it is not the whole. */
function partOf(request: FastifyRequest, reply: FastifyReply, attempt: AttemptRow, from: number) {
  const size = attempt.log_bytes;
  // A log that is over never changes; of one that grows every answer is another.
  const etag = attempt.log_complete ? `"attempt-${attempt.id}-${size}"` : undefined;
  reply.header('accept-ranges', 'bytes');
  if (etag !== undefined) reply.header('etag', etag);
  const condition = request.headers['if-range'];
  const given = from === 0 && (condition === undefined || condition === etag);
  const range = readByteRange(given ? request.headers.range : undefined, size);
  switch (range.kind) {
    case 'whole':
      return { from, end: Math.max(from, size) };
    case 'unsatisfiable':
      reply.header('content-range', `bytes */${size}`);
      throw problem(416, 'range-not-satisfiable', `The log has ${size} bytes.`);
    case 'part':
      reply.code(206).headers({
        'content-range': `bytes ${range.from}-${range.end - 1}/${etag === undefined ? '*' : size}`,
        'content-length': String(range.end - range.from),
      });
      return range;
  }
}

/** The bytes of a log between two offsets, read as fast as they are taken. */
async function* logPieces(reader: Reader, attemptId: number, from: number, end: number) {
  for (let at = from; at < end; ) {
    const maxBytes = Math.min(pieceBytes, end - at);
    const { bytes, nextByte } = await readLog(reader.db, attemptId, { fromByte: at, maxBytes });
    if (bytes.length === 0) return;
    yield bytes;
    at = nextByte;
  }
}

async function findAttempt(
  reader: Reader,
  buildId: number,
  attemptId: number | undefined,
): Promise<AttemptRow> {
  const build = await readBuild(reader, buildId);
  if (!build) throw notFound('build');
  const attempts = await listAttempts(reader, build.id);
  const attempt =
    attemptId === undefined ? attempts[0] : attempts.find((candidate) => candidate.id === attemptId);
  if (!attempt) throw notFound('log');
  return attempt;
}

/** The byte offset a browser had reached before its connection broke. */
export function lastEventByte(header: string | string[] | undefined): number | undefined {
  const match = typeof header === 'string' ? /^(\d{1,15})(?::\d{1,15})?$/.exec(header) : null;
  return match ? Number(match[1]) : undefined;
}
