import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatEvaluationError } from './format-error.ts';

let checkout: string;
beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'ringmaster-test-format-'));
  await writeFile(join(checkout, 'ci.nix'), '{\n  a = slow;\n}\n');
});
afterAll(() => rm(checkout, { recursive: true, force: true }));

test('the place comes first, as editors expect it, and the line is shown where Nix did not', async () => {
  const text = await formatEvaluationError(
    {
      type: 'error',
      path: ['s', 'x.y'],
      message: 'error: took too long',
      location: { file: 'ci.nix', line: 2, column: 3 },
    },
    { checkout },
  );
  expect(text).toBe(
    ['ci.nix:2:3: error: took too long', '  in attribute s."x.y"', '     2|   a = slow;', '      |   ^'].join(
      '\n',
    ),
  );
});

test('no file is read that is none of the repository, and the caret stands behind tabs', async () => {
  await symlink('/dev/zero', join(checkout, 'endless.nix'));
  await writeFile(join(checkout, 'tabs.nix'), '\ta =\tb;\n');
  const shown = (file: string) =>
    formatEvaluationError(
      { type: 'error', path: ['a'], message: 'error: odd', location: { file, line: 1, column: 6 } },
      { checkout },
    );
  expect(await shown('endless.nix')).toBe('endless.nix:1:6: error: odd\n  in attribute a');
  expect(await shown('../../etc/passwd')).not.toContain('root');
  expect(await shown('tabs.nix')).toMatch(/ 1\| {3}a = {2}b;\n {6}\| {8}\^$/);
});

test('an error of the whole evaluation says so and needs no place', async () => {
  const text = await formatEvaluationError({ type: 'error', path: [], message: 'error: nothing there' });
  expect(text).toBe('error: nothing there\n  in attribute (root)');
});

test('where the frames come first, the reason is in the first line all the same', async () => {
  const message = 'error:\n       … while evaluating\n\n       error: the reason';
  const text = await formatEvaluationError({ type: 'error', path: ['a'], message });
  expect(text.split('\n')[0]).toBe('error: the reason');
});
