/** What is sent: JSON for programs, or a text for chats. */
import { createHmac } from 'node:crypto';
import type { NotificationTarget } from '../basics/config/index.ts';
import type { Notification } from './types.ts';

export interface Message {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

const mostInChat = 5;

/** `id` is the same at each try, so that whoever is told twice can know. */
export function writeMessage(
  kind: NotificationTarget['kind'],
  {
    id,
    notification,
    secret,
  }: { readonly id: string; readonly notification: Notification; readonly secret: string | undefined },
): Message {
  const type = { 'content-type': 'application/json', 'user-agent': 'Ringmaster' };
  if (kind === 'slack') return { body: JSON.stringify({ text: chatText(notification) }), headers: type };
  const body = JSON.stringify({ id, ...notification });
  const signature: Record<string, string> =
    secret === undefined
      ? {}
      : { 'x-ringmaster-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}` };
  return {
    body,
    headers: { ...type, 'x-ringmaster-event': notification.event, 'x-ringmaster-delivery': id, ...signature },
  };
}

/** In Slack's notation, which others take, too: https://docs.slack.dev/messaging/formatting-message-text */
export function chatText(notification: Notification): string {
  const { project, branch, sha, title, author, url } = notification;
  const commit = `<${url}|${sha.slice(0, 7)}> ${plain(cut(title, 120))}${author === '' ? '' : ` (${plain(author)})`}`;
  return `${verdict(notification)}: *${plain(project)}*, ${plain(branch)}\n${commit}${failedLine(notification)}`;
}

function verdict({ event, failing, attributes }: Notification): string {
  const some =
    failing === 0 ? 'fails' : `${failing} of ${attributes} attributes ${failing === 1 ? 'fails' : 'fail'}`;
  switch (event) {
    case 'broken':
      return `:x: ${some}`;
    case 'failing':
      return `:x: ${some}, as before`;
    case 'recovered':
      return ':white_check_mark: good again';
    case 'passing':
      return ':white_check_mark: good';
  }
}

function failedLine({ failed, failing, newlyFailing }: Notification): string {
  if (failing === 0) return '';
  const named = failed
    .slice(0, mostInChat)
    .map((path) => `\`${withoutLinks(cut(path, 80)).replaceAll('`', "'")}\``);
  const more = failing > named.length ? ` and ${failing - named.length} more` : '';
  const fresh = newlyFailing < failing && newlyFailing > 0 ? ` (${newlyFailing} of them new)` : '';
  return `\n${named.join(', ')}${more}${fresh}`;
}

/** Neither markup nor mentions: a character without width comes between. */
function plain(text: string): string {
  return withoutLinks(text)
    .replaceAll(/@(?=\w)/g, '@\u2060')
    .replaceAll(/([*_~`])/g, '\u2060$1');
}

/** Neither links nor lines of its own. */
function withoutLinks(text: string): string {
  return text
    .replaceAll(/\p{C}+/gu, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
}

function cut(text: string, most: number): string {
  return [...text].length > most ? `${[...text].slice(0, most - 1).join('')}…` : text;
}
