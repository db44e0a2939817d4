/**
 * From Nix's error texts to messages for people: where in the repository it went wrong, and the text
 * without what only our machinery knows (absolute paths, frames of our own expressions).
 *
 * The error comes first and then, from the inside out, frames with `at FILE:LINE:COLUMN:` and an
 * excerpt each (`cause-first.ts`).
 */

import type { SourceLocation } from '../events.ts';
import { causeFirst, linesOfCause } from './cause-first.ts';
import { stripAnsi } from './error-text.ts';
import { alignCarets, columnInUnits } from './excerpts.ts';

export interface CleanedError {
  readonly message: string;
  readonly location?: SourceLocation;
}

export interface Cleaning {
  /** Resolved absolute path. */
  readonly checkout: string;
  readonly maxBytes: number;
  /** What to do about the error, given the message. */
  readonly advise?: (message: string) => string | undefined;
}

/** Cleans one error text. */
export function cleanError(text: string, { checkout, maxBytes, advise }: Cleaning): CleanedError {
  const plain = stripAnsi(withoutMiddle(text, Math.max(maxBytes, leastKept)))
    .replaceAll('\r\n', '\n')
    .split('\n');
  const lines = withoutOurFrames(causeFirst(plain));
  const location = findLocation(lines, checkout);
  const shown = relativePaths(alignCarets(lines).join('\n').trimEnd(), checkout);
  const help = advise?.(shown);
  const message = cutMessage(help === undefined ? shown : withHelp(shown, help), maxBytes);
  return location === undefined ? { message } : { message, location };
}

/** Characters of the beginning and of the end of a text, each, in which a place is looked for. */
const leastKept = 64 * 1024;

/** What is shown of an error of megabytes, and where it is, is at one of its ends. */
function withoutMiddle(text: string, kept: number): string {
  if (text.length <= 2 * kept) return text;
  return `${text.slice(0, kept)}\n… (some lines were left out)\n${text.slice(-kept)}`;
}

/** Below what is wrong: above the way there, which may be long. */
function withHelp(message: string, help: string): string {
  const lines = message.split('\n');
  const count = linesOfCause(lines);
  return [...lines.slice(0, count), '', `help: ${help}`, ...lines.slice(count)].join('\n');
}

/** The innermost place that lies in the checkout. */
function findLocation(lines: readonly string[], checkout: string): SourceLocation | undefined {
  const patterns = placePatterns(checkout);
  const cause = linesOfCause(lines);
  for (const [index, text] of lines.entries()) {
    if (alreadyDefined.test(text)) continue;
    const [, file, row, byte] =
      patterns.place.exec(text) ?? (index < cause ? patterns.mention.exec(text) : undefined) ?? [];
    if (file === undefined) continue;
    const line = Number(row);
    if (byte === undefined) return { file, line };
    return { file, line, column: columnInUnits(lines, index, line, Number(byte)) };
  }
  return undefined;
}

/** The place that is wrong comes next: where the name is used again. */
const alreadyDefined = /^\s*error: .* already defined at /;

/** Names end somewhere, so that words full of beginnings are searched in time. */
function placePatterns(checkout: string) {
  const file = `${escaped(checkout)}/(.{1,4096}?)`;
  return {
    place: new RegExp(`(?:^|\\s)at ${file}:(\\d+):(\\d+)(?=[:\\s]|$)`),
    // `… required argument "x" at /checkout/tool.nix:2`, as nixpkgs says it.
    mention: new RegExp(`(?:^|\\s)(?:at|in) ${file}:(\\d+)(?=[\\s'",;)]|$)`),
  };
}

/** A place with an absolute path as a place in the repository, if it is one. */
export function locationInside(place: SourceLocation, checkout: string): SourceLocation | undefined {
  if (!place.file.startsWith(`${checkout}/`)) return undefined;
  return { ...place, file: place.file.slice(checkout.length + 1) };
}

const ourPlace =
  /^\s*at (?:«(?:stdin|string)»|\((?:stdin|string)\)|«none»|<nix\/derivation-internal\.nix>|\/\S*\/ringmaster-walk\.nix):\d+:\d+:?/;
const ourWords = /^\s*… ringmaster-[0-9a-f]{32}:/;
const frameStart = /^\s*…/;
const excerpt = /^\s*(?:\d+)?\|/;
const moreOfThem = /^\s*\(\d+ duplicate frames omitted\)$/;

/**
 * Drops positions in our own expressions, and in what Nix itself evaluates for every derivation, with
 * their excerpts and the sentence (`… while …`) that led to them.
 */
function withoutOurFrames(lines: readonly string[]): string[] {
  const kept: string[] = [];
  let ofOurs = false;
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    if (!ourPlace.test(line)) {
      ofOurs = ourWords.test(line);
      if (!ofOurs) kept.push(line);
      continue;
    }
    while (kept.at(-1)?.trim() === '') kept.pop();
    if (!ofOurs && frameStart.test(kept.at(-1) ?? '')) kept.pop();
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

/** Cuts a message to a number of UTF-8 bytes, between characters. */
export function cutMessage(message: string, maxBytes: number): string {
  const bytes = Buffer.from(message, 'utf8');
  if (bytes.length <= maxBytes) return message;
  const mark = '\n… (cut: max_message_bytes)';
  let end = Math.max(0, maxBytes - Buffer.byteLength(mark));
  while (end > 0 && isContinuation(bytes[end])) end -= 1;
  return bytes.subarray(0, end).toString('utf8') + mark;
}

/** Whether a byte is not the first of a character in UTF-8. */
function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
