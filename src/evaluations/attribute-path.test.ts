import fc from 'fast-check';
import { expect, test } from 'vitest';
import { attributePathFromUrl, attributePathToUrl, formatAttributePath } from './attribute-path.ts';

test('an ordinary path reads the same in text and in a URL', () => {
  expect(formatAttributePath(['checks', 'x86_64-linux', 'test'])).toBe('checks.x86_64-linux.test');
  expect(attributePathToUrl(['checks', 'x86_64-linux', 'test'])).toBe('checks.x86_64-linux.test');
});

test('names with dots, quotes and newlines stay unambiguous in text', () => {
  expect(formatAttributePath(['a.b', 'c'])).toBe('"a.b".c');
  expect(formatAttributePath(['a', 'b', 'c'])).toBe('a.b.c');
  expect(formatAttributePath(['new\nline'])).toBe('"new\\nline"');
  expect(formatAttributePath([''])).toBe('""');
  expect(formatAttributePath([])).toBe('(root)');
});

test('every path survives the way through one URL segment', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' })), (path) => {
      const segment = attributePathToUrl(path);
      expect(segment).toMatch(/^[A-Za-z0-9_.~-]+$/);
      expect(['.', '..']).not.toContain(segment);
      expect(attributePathFromUrl(segment)).toEqual(path);
    }),
  );
});

test('what no path is written as is not read as one', () => {
  for (const segment of ['', 'a..b', '%2E', 'a/b', '~FF', '~2e', 'a~']) {
    expect(attributePathFromUrl(segment), segment).toBeUndefined();
  }
});
