import { expect, test } from 'vitest';
import { causeFirst } from './cause-first.ts';

test('words that begin on the line below come first, too, as the assertions of NixOS do', () => {
  const words = ['       Failed assertions:', '       - There is no root file system.'];
  const frame = ['       … from call site', '         at ci.nix:3:7:'];
  const told = ['error: Failed assertions:', '       - There is no root file system.', '', ...frame];
  expect(causeFirst(['error:', ...frame, '', '       error:', ...words])).toEqual(told);
  expect(causeFirst(['error:', ...words, '', ...frame])).toEqual(told);
});

test('an error without words has none of the frames', () => {
  const frame = ['       … while evaluating', '         at ci.nix:3:7:'];
  expect(causeFirst(['error:', ...frame, '', '       error:'])).toEqual(['error:', '', ...frame]);
  expect(causeFirst(['error:', '', ...frame])).toEqual(['error:', '', ...frame]);
  expect(causeFirst(['error:'])).toEqual(['error:']);
});
