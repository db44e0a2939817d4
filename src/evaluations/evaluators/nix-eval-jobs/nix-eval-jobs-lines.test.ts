import { expect, test } from 'vitest';
import { parseCutLine } from './nix-eval-jobs-lines.ts';

const whole = JSON.stringify({ attr: 'r."_a.b"', attrPath: ['r', '_a]"b'], error: 'error: \u0001\n"\\\\' });

test('of a line that is too long the error is read as far as it goes, wherever it breaks off', () => {
  for (let end = whole.indexOf('error: '); end < whole.length - 2; end += 1) {
    const line = parseCutLine(whole.slice(0, end));
    expect(line?.attrPath).toEqual(['r', '_a]"b']);
    expect(line && 'error' in line && 'error: \u0001\n"\\\\'.startsWith(line.error)).toBe(true);
  }
});

test('a job of which only the beginning is there is none', () => {
  expect(parseCutLine('{"attr":"r._a","attrPath":["r","_a"],"drvPath":"/nix/sto')).toBeUndefined();
});
