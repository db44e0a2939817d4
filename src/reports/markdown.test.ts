import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutBytes, cutText, utf8Length } from './limits.ts';
import { fenced, inlineCode, joinWithin, plainText, safeInline } from './markdown.ts';

/** Text as hostile builders print it. */
const hostile = fc.string({
  unit: fc.constantFrom(
    '`',
    '``',
    '~',
    '\n',
    '\r',
    '|',
    '@all',
    '\u001b[31m',
    '\u0000',
    '\u202e',
    'é',
    '🎪',
    'x',
    ' ',
  ),
  maxLength: 300,
});

describe('cutting', () => {
  it('by bytes never goes over and never splits a character', () => {
    fc.assert(
      fc.property(hostile, fc.nat(200), (text, max) => {
        const cut = cutBytes(text, max);
        expect(utf8Length(cut)).toBeLessThanOrEqual(max);
        expect(text.startsWith(cut)).toBe(true);
        expect(cut).not.toContain('\ufffd');
      }),
    );
  });

  it('by characters shows that it cut', () => {
    expect(cutText('a🎪b', 3)).toBe('a…');
    expect(cutText('abc', 3)).toBe('abc');
  });
});

describe('a fence', () => {
  it('cannot be left by what is inside', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const lines = fenced(text).split('\n');
        const fence = lines[0] ?? '';
        expect(fence).toMatch(/^`{3,}$/);
        expect(lines.at(-1)).toBe(fence);
        expect(lines.slice(1, -1).some((line) => line.includes(fence))).toBe(false);
      }),
    );
  });
});

describe('inline code', () => {
  it('is one line between runs of backticks that do not occur in it', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const code = inlineCode(text);
        const ticks = /^`+/.exec(code)?.[0] ?? '';
        const inner = code.slice(ticks.length, -ticks.length);
        expect(code).not.toContain('\n');
        expect(inner.match(/`+/g) ?? []).not.toContain(ticks);
        expect(code.endsWith(ticks)).toBe(true);
      }),
    );
  });

  it('takes over where words would mean something to Markdown', () => {
    expect(safeInline('Failed with exit code 3')).toBe('Failed with exit code 3');
    expect(safeInline('see www.evil.example')).toBe('`see www.evil.example`');
    expect(safeInline('ask @everyone <b>')).toBe('`ask @everyone <b>`');
  });
});

describe('plain text', () => {
  it('has no colours, no control characters and of a progress bar only the last state', () => {
    expect(plainText('\u001b[1;31mred\u001b[0m \u001b]0;title\u0007x\r\n10%\r90%\r\n\u202eab\u0000c')).toBe(
      'red x\n90%\nabc',
    );
  });
});

describe('joining', () => {
  it('keeps whole blocks as long as they fit and counts the rest', () => {
    fc.assert(
      fc.property(fc.array(hostile, { maxLength: 40 }), fc.integer({ min: 60, max: 2000 }), (blocks, max) => {
        const joined = joinWithin('head', blocks, (left) => (left === 0 ? '' : `\n${left} more`), '\n', max);
        expect(utf8Length(joined)).toBeLessThanOrEqual(max);
        const all = ['head', ...blocks].join('\n');
        if (utf8Length(all) <= max) expect(joined).toBe(all);
        else expect(joined).toMatch(/\n\d+ more$/);
      }),
    );
  });
});
