import { expect, test } from 'vitest';
import { causeFirst } from './cause-first.ts';

test('words that begin on the line below come first, too, as the assertions of NixOS do', () => {
  const words = ['       Failed assertions:', '       - There is no root file system.'];
  const frame = ['       … from call site', '         at ci.nix:3:7:'];
  expect(causeFirst(['error:', ...frame, '', '       error:', ...words])).toEqual([
    'error:',
    ...words,
    '',
    ...frame,
  ]);
});
