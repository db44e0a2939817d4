/**
 * Where GitHub delivers. GitHub waits ten seconds and never tries again by itself, so a request
 * only checks, stores and answers; the work is a background task.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Logger, messageOf } from '../basics/index.ts';
import { addTaskSql, createFlush, isConnectionError, type Knex, taskBindings } from '../postgres/index.ts';
import type { GitHubApp } from './app.ts';
import { BodyRefused, createBodyReader } from './bodies.ts';
import { isHandled } from './deliveries/handlers.ts';
import { deliveryJobKey, processDeliveryTask } from './deliveries/process-delivery.ts';

export interface WebhookOptions {
  readonly db: Knex;
  /** Undefined without credentials: then every delivery is answered 503. */
  readonly app: GitHubApp | undefined;
  /** Names of the settings that are missing. */
  readonly missing: readonly string[];
  /** Called for every delivery that is GitHub's. */
  readonly onDelivery?: () => void;
  readonly log: Logger;
}

export const webhooksPath = '/api/github/webhooks';

/** Milliseconds for storing; well below the ten seconds that GitHub waits. */
const storeTimeoutMs = 8_000;
/** Tries of one delivery: the waits between them grow to about an hour each, three hours in all. */
const maxAttempts = 10;

interface Delivery {
  readonly id: string;
  readonly event: string;
  readonly body: string;
}

interface Answer {
  readonly status: number;
  readonly title: string;
  readonly detail?: string;
}

/** Serves `POST /api/github/webhooks`. */
export function webhooks(options: WebhookOptions): FastifyPluginAsync {
  return async (scope) => {
    scope.removeAllContentTypeParsers();
    const bodies = createBodyReader();
    const flush = createFlush(options.db);
    const held = new WeakMap<FastifyRequest, () => void>();
    scope.addContentTypeParser('*', async (request: FastifyRequest, stream: IncomingMessage) => {
      const { bytes, release } = await bodies.read(stream, Number(request.headers['content-length'] ?? 0));
      held.set(request, release);
      return bytes;
    });
    scope.addHook('onResponse', async (request) => held.get(request)?.());
    scope.setErrorHandler((error, _request, reply) => {
      // What was not read of the body would be taken for the next request.
      if (error instanceof BodyRefused) reply.header('connection', 'close');
      return answer(reply, answerToError(error, options.log));
    });
    if (!options.app) {
      const detail = `Missing: ${options.missing.join(', ')}. Set them and restart; 'ringmaster doctor' checks them.`;
      // Before the body is read: there is nothing to verify it with.
      scope.addHook('onRequest', async (_request, reply) =>
        answer(reply, { status: 503, title: 'No GitHub App is configured here.', detail }),
      );
    }
    scope.post(webhooksPath, async (request, reply) =>
      answer(reply, await receive(request, { ...options, flush })),
    );
  };
}

/** `flush`: resolves when what is committed is on disk. */
type Receiving = WebhookOptions & { readonly flush: () => Promise<void> };

async function receive(request: FastifyRequest, options: Receiving): Promise<Answer> {
  const signature = request.headers['x-hub-signature-256'];
  if (typeof signature !== 'string' || signature === '') {
    return {
      status: 401,
      title: 'The header X-Hub-Signature-256 is missing.',
      detail: 'Give the webhook on GitHub the same secret as github.webhook_secret (WEBHOOK_SECRET) here.',
    };
  }
  const event = request.headers['x-github-event'];
  const id = request.headers['x-github-delivery'];
  if (typeof event !== 'string' || !/^[a-z0-9_]{1,100}$/.test(event)) {
    return { status: 400, title: 'The header X-GitHub-Event is missing or not an event name.' };
  }
  if (typeof id !== 'string' || !/^[0-9A-Za-z-]{1,100}$/.test(id)) {
    return { status: 400, title: 'The header X-GitHub-Delivery is missing or not an id.' };
  }
  const body = Buffer.isBuffer(request.body) ? request.body.toString('utf8') : '';
  if (body === '') return { status: 400, title: 'The body is empty.' };
  if (!(await options.app?.verify(body, signature))) {
    options.log.warn({ delivery: id }, 'a webhook with a wrong signature was refused');
    return { status: 401, title: 'The signature does not belong to this body and our secret.' };
  }
  options.onDelivery?.();
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    return {
      status: 415,
      title: 'The body is not application/json.',
      detail: "Choose 'application/json' as the content type of the webhook on GitHub.",
    };
  }
  return accept({ id, event, body }, options);
}

/** The few fields that decide what becomes of a delivery; the rest is parsed when it is processed. */
const outline = z.object({
  action: z.string().max(100).optional().catch(undefined),
  installation: z.object({ id: z.number().int().safe() }).optional().catch(undefined),
});

async function accept(delivery: Delivery, options: Receiving): Promise<Answer> {
  const payload = outline.safeParse(parseJson(delivery.body));
  if (!payload.success) return { status: 400, title: 'The body is not a JSON object.' };
  if (!isHandled(delivery.event, payload.data.action)) {
    const { action } = payload.data;
    const what = action === undefined ? delivery.event : `${delivery.event}, ${action}`;
    return { status: 202, title: `Ignored: nothing is done about '${what}'.` };
  }
  const late = rejectAfter(storeTimeoutMs);
  try {
    const storing = store(delivery, payload.data, options.db).then(async (stored) => {
      await options.flush();
      return stored;
    });
    const stored = await Promise.race([storing, late.promise]);
    return stored === 'queued'
      ? { status: 202, title: 'Accepted.' }
      : { status: 202, title: 'Processed before.' };
  } finally {
    late.cancel();
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The delivery and the task that works it off, both or neither. */
async function store(
  { id, event, body }: Delivery,
  { action, installation }: z.infer<typeof outline>,
  db: Knex,
): Promise<'queued' | 'processed'> {
  const insert = async (payload: string) => {
    // The update changes nothing: it makes a second delivery wait for the first and returns its row. One
    // statement, so that a crowd costs the database one round trip for each.
    const result = await db.raw(
      `WITH stored AS (
         INSERT INTO deliveries (id, event, action, payload, installation_id)
         VALUES (:id, :event, :action, cast(:payload AS jsonb), :installation)
         ON CONFLICT (id) DO UPDATE SET id = deliveries.id RETURNING processed_at
       )
       SELECT processed_at, CASE WHEN processed_at IS NULL THEN (${addTaskSql}).id END AS task FROM stored`,
      {
        id,
        event,
        action: action ?? null,
        payload,
        installation: installation?.id ?? null,
        // A redelivery of one that failed starts its tries anew. One queue per installation keeps
        // the order in which GitHub said things.
        ...taskBindings(
          processDeliveryTask,
          { id },
          {
            jobKey: deliveryJobKey(id),
            queueName: `deliveries:${installation?.id ?? 'none'}`,
            maxAttempts,
          },
        ),
      },
    );
    const row: { readonly processed_at: Date | null } = result.rows[0];
    return row.processed_at === null ? 'queued' : 'processed';
  };
  try {
    return await insert(body);
  } catch (error) {
    if (!isUnstorable(error)) throw error;
    return insert(JSON.stringify(JSON.parse(body, (_key, value: unknown) => storable(value))));
  }
}

/** JSON may hold what PostgreSQL's text cannot: NUL, and halves of surrogate pairs. */
function isUnstorable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === '22P05' || error.code === '22P02');
}

function storable(value: unknown): unknown {
  return typeof value === 'string' ? value.replaceAll(/\0|\p{Surrogate}/gu, '\ufffd') : value;
}

class TooLate extends Error {}

function rejectAfter(ms: number): { promise: Promise<never>; cancel(): void } {
  let cancel = () => {};
  const promise = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new TooLate('The database took too long.')), ms);
    cancel = () => clearTimeout(timer);
  });
  return { promise, cancel: () => cancel() };
}

function answerToError(error: unknown, log: Logger): Answer {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  if (error instanceof BodyRefused) return { status: error.statusCode, title: error.message };
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return { status, title: messageOf(error) };
  }
  // PostgreSQL's statement_too_complex: some thousands of levels, which GitHub never sends.
  if (error instanceof Error && 'code' in error && error.code === '54001') {
    return { status: 400, title: 'The body is nested too deeply.' };
  }
  log.warn({ reason: messageOf(error) }, 'a webhook could not be stored');
  const away = isConnectionError(error) || error instanceof TooLate;
  return {
    status: away ? 503 : 500,
    title: 'The delivery could not be stored.',
    detail: `${away ? 'The database is away. ' : ''}Redeliver it from the App's page on GitHub, Advanced, Recent deliveries.`,
  };
}

/** Good answers are one line; the others are problem documents (RFC 9457). */
function answer(reply: FastifyReply, { status, title, detail }: Answer): FastifyReply {
  reply.code(status);
  if (status < 400) return reply.send({ message: title });
  if (status === 503) reply.header('retry-after', '30');
  return reply
    .type('application/problem+json')
    .send({ type: 'about:blank', title, status, ...(detail === undefined ? {} : { detail }) });
}
