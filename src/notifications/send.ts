/** Sends one notification. Whatever the other side answers stays unread: only whether it took it counts. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { type NotificationTarget, notificationEvents } from '../basics/config/index.ts';
import { type Logger, messageOf, OperatorError } from '../basics/index.ts';
import { writeMessage } from './message.ts';
import type { Notification } from './types.ts';

/** Milliseconds for an answer. */
const patienceMs = 15_000;

export const notificationShape: z.ZodType<Notification> = z.object({
  event: z.enum(notificationEvents),
  project: z.string(),
  branch: z.string(),
  sha: z.string(),
  title: z.string(),
  author: z.string(),
  evaluationId: z.number(),
  attributes: z.number(),
  failing: z.number(),
  newlyFailing: z.number(),
  failed: z.array(z.string()),
  finishedAt: z.string(),
  url: z.string(),
});
const payloadShape = z.object({ target: z.string(), id: z.string(), notification: notificationShape });

/** The handler of {@link sendNotificationTask}: throws to be tried again. */
export function createNotificationSender(targets: readonly NotificationTarget[], log: Logger) {
  return async (payload: unknown, context: { readonly signal?: AbortSignal } = {}): Promise<void> => {
    const { target: name, ...message } = payloadShape.parse(payload);
    const target = targets.find((candidate) => candidate.name === name);
    if (target === undefined) {
      log.warn({ target: name }, 'a notification is for nobody any more: its target is not configured');
      return;
    }
    await sendNotification(target, message, context.signal);
    const { project, branch, event } = message.notification;
    log.info({ target: name, project, branch, event }, 'told how a branch is');
  };
}

/** Rejects with an OperatorError that names the target, never its address, which may be a secret. */
export async function sendNotification(
  target: NotificationTarget,
  message: { readonly id: string; readonly notification: Notification },
  signal?: AbortSignal,
): Promise<void> {
  const url = target.url ?? (await fromFile(target, 'url_file'));
  const { username, password } = new URL(url);
  if (username !== '' || password !== '')
    throw trouble(target, 'has a user or a password in its address, which are not sent');
  const secret = target.secret_file === undefined ? undefined : await fromFile(target, 'secret_file');
  const { body, headers } = writeMessage(target.kind, { ...message, secret });
  const patience = AbortSignal.timeout(patienceMs);
  const answer = await fetch(url, {
    method: 'POST',
    body,
    headers,
    // Whoever moved is configured anew: what is told, and its signature, go nowhere else.
    redirect: 'manual',
    signal: signal === undefined ? patience : AbortSignal.any([signal, patience]),
  }).catch((error: unknown) => {
    throw trouble(target, `did not take it: ${causeOf(error)}`);
  });
  await answer.body?.cancel();
  if (!answer.ok) throw trouble(target, `answered ${answer.status}`);
}

async function fromFile(target: NotificationTarget, key: 'url_file' | 'secret_file'): Promise<string> {
  const text = await readFile(target[key] ?? '', 'utf8').catch((error: unknown) => {
    throw trouble(target, `has a ${key} that cannot be read: ${messageOf(error)}`);
  });
  const value = text.trim();
  if (value === '') throw trouble(target, `has a ${key} that is empty`);
  if (key === 'url_file' && !(/^https?:\/\//.test(value) && URL.canParse(value)))
    throw trouble(target, 'has a url_file without an address');
  return value;
}

/** `fetch failed` says nothing; what it was is below. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return messageOf(error);
  const cause = error.cause;
  if (cause instanceof Error && 'code' in cause) return String(cause.code);
  return error.name === 'TimeoutError'
    ? 'no answer in time'
    : cause instanceof Error
      ? cause.message
      : 'no answer';
}

function trouble({ name }: NotificationTarget, what: string): OperatorError {
  return new OperatorError({
    code: 'notification-not-taken',
    message: `the notification target ${name} ${what}`,
    hint: 'See [[notifications]] in the configuration.',
  });
}
