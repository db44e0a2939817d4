import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limits, utf8Length } from './limits.ts';
import { attributeCheckName, evaluationCheckName, gateName, summaryStatusName } from './names.ts';

describe('the name of an attribute’s check', () => {
  it.each([
    [['checks', 'x86_64-linux', 'test'], 'ringmaster / checks.x86_64-linux.test'],
    [[], 'ringmaster / (root)'],
    [['a.b', 'c d'], 'ringmaster / "a.b"."c d"'],
    [['line\nbreak'], 'ringmaster / "line\\nbreak"'],
    [['\u202egnp.exe'], 'ringmaster / "\\u202egnp.exe"'],
    [['evaluation'], 'ringmaster / "evaluation"'],
  ])('of %j is %s', (path, name) => {
    expect(attributeCheckName(path)).toBe(name);
  });

  it('fits, and differs for paths that begin alike', () => {
    const long = 'ä'.repeat(300);
    const [a, b] = [attributeCheckName([long, 'a']), attributeCheckName([long, 'b'])];
    expect(a).not.toBe(b);
    expect(utf8Length(a)).toBeLessThanOrEqual(limits.nameBytes);
  });

  it('is one path’s alone, and none that the product uses itself', () => {
    const name = fc.string({
      unit: fc.constantFrom('a', '.', '"', '\\', 'u202e', '\u202e', '(root)', 'evaluation'),
    });
    const path = fc.array(name, { maxLength: 3 });
    fc.assert(
      fc.property(path, path, (a, b) => {
        const names = [attributeCheckName(a), attributeCheckName(b)];
        expect(names[0] === names[1]).toBe(JSON.stringify(a) === JSON.stringify(b));
        for (const own of [gateName, evaluationCheckName, summaryStatusName])
          expect(names).not.toContain(own);
      }),
    );
  });
});
