import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutTo, formatSeconds, plainLine, widthOf } from './text.ts';

describe('text on a terminal', () => {
  it('takes colours, cursor movements and window titles out of a log line', () => {
    expect(plainLine('\u001b[31mred\u001b[0m \u001b[2J\u001b[10;5Hgone \u001b]0;title\u0007end\ttab')).toBe(
      'red gone end tab',
    );
  });

  it('lets no control character through, whatever a builder prints', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the point.
        expect(plainLine(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
      }),
    );
  });

  it('never takes more columns than there are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat({ max: 30 }), (text, columns) => {
        expect(widthOf(cutTo(plainLine(text), columns))).toBeLessThanOrEqual(columns);
      }),
    );
  });

  it('cuts wide characters as wholes', () => {
    expect(cutTo('日本語のログ', 6)).toBe('日本…');
    expect(cutTo('short', 5)).toBe('short');
  });

  it('writes durations as people say them', () => {
    expect([0, 0.44, 9.94, 9.96, 59.4, 65, 7620].map(formatSeconds)).toEqual([
      '0.0s',
      '0.4s',
      '9.9s',
      '10s',
      '59s',
      '1m 05s',
      '2h 07m',
    ]);
  });
});
