/**
 * Markdown from untrusted text. Attribute names, Nix's messages and logs are written by whoever can
 * open a pull request: they appear only as inline code or inside fences, where mentions, links,
 * images and HTML are dead, and never with a character that hides or reorders others.
 */
import { cutText, limits, utf8Length } from './limits.ts';

// CSI, OSC (ended by BEL or ST) and the two-character escapes.
const ansiSequence =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b[ -/]*[0-~]|\u009b[0-?]*[ -/]*[@-~]/g;

// Control and format characters (bidirectional overrides among them) but tab and newline.
const unseen = /(?![\t\n])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Text of several lines with nothing in it that a terminal or a reader's eye would obey. */
export function plainText(text: string): string {
  return text
    .replace(/\r\n/g, '\n')
    .replace(ansiSequence, '')
    .split('\n')
    .map((line) => lastRedraw(line).replace(unseen, ''))
    .join('\n');
}

/** A progress bar draws over itself with carriage returns: only what stood there last is kept. */
function lastRedraw(line: string): string {
  const trimmed = line.replace(/\r+$/, '');
  return trimmed.slice(trimmed.lastIndexOf('\r') + 1);
}

/** The same in one line. */
export function plainLine(text: string): string {
  return plainText(text).replace(/\s+/g, ' ').trim();
}

/** Control characters, newlines and their like written as escapes, for names that must stay exact. */
export function visibleControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** The first line that says something, in one line. */
export function firstLine(text: string): string {
  return (
    plainText(text)
      .split('\n')
      .map((line) => line.trim())
      .find((line) => line !== '') ?? ''
  );
}

/** Inline code, whatever is in it, of at most so many characters. */
export function inlineCode(text: string, maxCharacters = 1_000): string {
  const line = cutText(visibleControls(plainLine(text)), maxCharacters);
  const ticks = '`'.repeat(longestRun(line) + 1);
  const pad = line === '' || line.startsWith('`') || line.endsWith('`') ? ' ' : '';
  return `${ticks}${pad}${line}${pad}${ticks}`;
}

/** Inline Markdown for a table row: GitHub splits cells at `|` even within code. */
export function tableCell(inline: string): string {
  return inline.replaceAll('|', '\\|');
}

/** As words where no character could mean anything to Markdown, else as inline code. */
export function safeInline(text: string): string {
  const harmless = /^[A-Za-z0-9 ,.:;()%-]*$/.test(text) && !/www\.|https?:/i.test(text);
  return harmless ? text : inlineCode(text);
}

/** A fenced block no content can leave: its fence is longer than any run of backticks within. */
export function fenced(text: string, language = ''): string {
  const body = plainText(text).replace(/\n+$/, '');
  const ticks = '`'.repeat(Math.max(3, longestRun(body) + 1));
  return `${ticks}${language}\n${body}\n${ticks}`;
}

function longestRun(text: string): number {
  return (text.match(/`+/g) ?? []).reduce((longest, run) => Math.max(longest, run.length), 0);
}

/**
 * Joins blocks as long as they fit; `rest` says in words what is missing where so many were left out, or none,
 * and has its room kept.
 * A block is kept whole or left out: tables break between rows, never within.
 */
export function joinWithin(
  head: string,
  blocks: readonly string[],
  rest: (left: number) => string,
  separator = '\n',
  maxBytes: number = limits.outputBytes,
): string {
  const all = [head, ...blocks].join(separator) + rest(0);
  if (utf8Length(all) <= maxBytes) return all;
  const room = maxBytes - utf8Length(rest(blocks.length));
  let size = utf8Length(head);
  const kept: string[] = [];
  for (const block of blocks) {
    size += utf8Length(separator) + utf8Length(block);
    if (size > room) break;
    kept.push(block);
  }
  return [head, ...kept].join(separator) + rest(blocks.length - kept.length);
}

/** The parts that are there: lists are written with conditions in place. */
export function present(parts: readonly (string | false | undefined)[]): readonly string[] {
  return parts.flatMap((part) => (part === false || part === undefined || part === '' ? [] : [part]));
}
