/** The server's log for people at a terminal: one line a message instead of one JSON object. */
import { Writable } from 'node:stream';
import { z } from 'zod';
import type { Style, Tone } from './style.ts';
import { pad, plainLine } from './text.ts';

const message = z.looseObject({
  level: z.number(),
  time: z.string(),
  msg: z.string().optional(),
  err: z.looseObject({ message: z.string().optional(), stack: z.string().optional() }).optional(),
});

/** pino's numbers. */
const levels: readonly { readonly from: number; readonly word: string; readonly tone: Tone }[] = [
  { from: 50, word: 'error', tone: 'danger' },
  { from: 40, word: 'warn', tone: 'attention' },
  { from: 30, word: 'info', tone: 'accent' },
  { from: 0, word: 'debug', tone: 'muted' },
];
const levelColumns = 5;

/** Takes the logger's lines and writes readable ones to `stream`. */
export function readableLog(stream: NodeJS.WritableStream, style: Style): Writable {
  return new Writable({
    decodeStrings: false,
    write(chunk: unknown, _encoding, done) {
      for (const line of String(chunk).split('\n')) {
        if (line !== '') stream.write(`${readableLine(line, style)}\n`);
      }
      done();
    },
  });
}

/** `12:30:05 info  started the database  version=18`; the stack of an error follows on lines of its own. */
export function readableLine(line: string, style: Style): string {
  const parsed = message.safeParse(parse(line));
  if (!parsed.success) return plainLine(line);
  const { level, time, msg, err, ...fields } = parsed.data;
  const { word, tone } = levels.find(({ from }) => level >= from) ?? { word: 'info', tone: 'accent' };
  const details = Object.entries(fields).map(([name, value]) => `${name}=${show(value)}`);
  const words = [msg, err?.message].filter((part) => part !== undefined && part !== '');
  const text = [...new Set(words)].map((part) => plainLine(part ?? '')).join(': ');
  const stack = level >= 40 ? (err?.stack ?? '').split('\n').filter((one) => /^\s+at /.test(one)) : [];
  return [
    [
      style.paint('muted', clock(time)),
      style.paint(tone, pad(word, levelColumns)),
      [text, ...(details.length > 0 ? [style.paint('muted', details.join(' '))] : [])].join('  '),
    ].join(' '),
    ...stack.map((one) => style.paint('muted', plainLine(one))),
  ].join('\n');
}

function show(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=]+$/.test(text) || typeof value !== 'string'
    ? plainLine(text)
    : JSON.stringify(plainLine(text));
}

/** Of this machine's time zone. */
function clock(time: string): string {
  const date = new Date(time);
  const part = (number: number) => String(number).padStart(2, '0');
  return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}`;
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
