/**
 * From Nix's error texts to messages for people: where in the repository it went wrong, and the text
 * without what only our machinery knows (absolute paths, frames of our own expressions).
 *
 * Nix 2.8 prints the error first and then, from the inside out, `at FILE:LINE:COLUMN:` with an
 * excerpt each. Newer versions print the frames first, from the outside in, and the error last.
 */

import type { SourceLocation } from '../events.ts';
import { stripAnsi } from './error-text.ts';

export interface CleanedError {
  readonly message: string;
  readonly location?: SourceLocation;
}

const position = /(?:^|\s)at (.+?):(\d+):(\d+)(?=[:\s]|$)/;
const errorLine = /^\s*error: +\S/;

/** Cleans one error text. `checkout` is the resolved absolute path. */
export function cleanError(text: string, checkout: string, maxBytes: number): CleanedError {
  const lines = withoutOurFrames(stripAnsi(text).replaceAll('\r\n', '\n').split('\n'));
  const location = findLocation(lines, checkout);
  const message = cutMessage(relativePaths(lines.join('\n').trimEnd(), checkout), maxBytes);
  return location === undefined ? { message } : { message, location };
}

/** The innermost place that lies in the checkout. */
function findLocation(lines: readonly string[], checkout: string): SourceLocation | undefined {
  const places = lines.flatMap((line, index) => {
    const location = locationIn(line, checkout);
    return location === undefined ? [] : [{ index, location }];
  });
  const error = lines.findLastIndex((line) => errorLine.test(line));
  return (places.find(({ index }) => index >= error) ?? places.at(-1))?.location;
}

function locationIn(line: string, checkout: string): SourceLocation | undefined {
  const match = position.exec(line);
  const [, path, row, column] = match ?? [];
  if (path === undefined) return undefined;
  return locationInside({ file: path, line: Number(row), column: Number(column) }, checkout);
}

/** A place with an absolute path as a place in the repository, if it is one. */
export function locationInside(place: SourceLocation, checkout: string): SourceLocation | undefined {
  if (!place.file.startsWith(`${checkout}/`)) return undefined;
  return { ...place, file: place.file.slice(checkout.length + 1) };
}

const ourPlace =
  /^\s*at (?:«(?:stdin|string)»|\((?:stdin|string)\)|«none»|\/\S*\/ringmaster-walk\.nix):\d+:\d+:?/;
const frameStart = /^\s*…/;
const excerpt = /^\s*(?:\d+)?\|/;
const moreOfThem = /^\s*\(\d+ duplicate frames omitted\)$/;

/**
 * Drops positions in our own expressions, with their excerpts and the sentence (`… while …`) that
 * led to them.
 */
function withoutOurFrames(lines: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    if (!ourPlace.test(line)) {
      kept.push(line);
      continue;
    }
    while (kept.at(-1)?.trim() === '') kept.pop();
    if (frameStart.test(kept.at(-1) ?? '')) kept.pop();
    while (index + 1 < lines.length && isExcerpt(lines[index + 1] ?? '')) index += 1;
    kept.push('');
  }
  return collapseBlank(kept);
}

function isExcerpt(line: string): boolean {
  return line.trim() === '' || excerpt.test(line) || moreOfThem.test(line);
}

function collapseBlank(lines: readonly string[]): string[] {
  return lines.filter((line, index) => line.trim() !== '' || (lines[index - 1] ?? '').trim() !== '');
}

/**
 * Takes the checkout's path out of a text; names that merely begin like it stay. What lies beside the
 * checkout is written as seen from it, `../x`: where checkouts lie is the machine's affair.
 */
export function relativePaths(text: string, checkout: string): string {
  const itself = new RegExp(`${escaped(checkout)}(?![\\w.-])`, 'g');
  const cleaned = text.replaceAll(`${checkout}/`, '').replace(itself, '.');
  return ancestors(checkout).reduce(
    (known, ancestor, index) =>
      known.replace(new RegExp(`(?<![\\w.-])${escaped(ancestor)}/`, 'g'), '../'.repeat(index + 1)),
    cleaned,
  );
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** The folders above one, nearest first, without `/` and what lies in it: `/tmp` belongs to everybody. */
function ancestors(folder: string): string[] {
  const parts = folder.split('/');
  return parts.flatMap((_, index) => (index < 3 ? [] : [parts.slice(0, index).join('/')])).reverse();
}

/**
 * Cuts a message to a number of UTF-8 bytes, between characters. What is kept is the part with the
 * error itself: the beginning, or, where frames come first, the end.
 */
export function cutMessage(message: string, maxBytes: number): string {
  const bytes = Buffer.from(message, 'utf8');
  if (bytes.length <= maxBytes) return message;
  const framesFirst = /^error:\s*$/m.test(message.slice(0, message.indexOf('\n') + 1));
  const mark = framesFirst ? 'error: … (beginning cut)\n' : '\n… (cut: max_message_bytes)';
  const room = Math.max(0, maxBytes - Buffer.byteLength(mark));
  if (framesFirst) {
    let start = bytes.length - room;
    while (start < bytes.length && isContinuation(bytes[start])) start += 1;
    return mark.slice(0, maxBytes) + bytes.subarray(start).toString('utf8');
  }
  let end = room;
  while (end > 0 && isContinuation(bytes[end])) end -= 1;
  return bytes.subarray(0, end).toString('utf8') + mark;
}

/** Whether a byte is not the first of a character in UTF-8. */
function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
