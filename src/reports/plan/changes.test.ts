import { expect, it } from 'vitest';
import type { AttributeChange, EvaluationChanges } from '../../evaluations/index.ts';
import { limits, utf8Length } from '../limits.ts';
import { gateName } from '../names.ts';
import { planReports } from './plan.ts';
import { facts, job, options } from './test-facts.ts';

function changes(attributes: readonly AttributeChange[], unkept = 0): EvaluationChanges {
  const count = (kind: string) => attributes.filter((one) => one.kind === kind).length;
  return {
    baseSha: 'fedcba9876543210fedcba9876543210fedcba98',
    baseBranch: 'main',
    counts: {
      added: count('added'),
      removed: count('removed'),
      rebuilt: count('rebuilt') + unkept,
      broken: count('broken'),
      repaired: 0,
      unchanged: 3,
    },
    attributes,
  };
}

function gateWith(changed: EvaluationChanges, names = ['a']) {
  const gate = planReports(facts({ jobs: names.map((name) => job(name)), changes: changed }), options).find(
    ({ name }) => name === gateName,
  );
  if (gate?.kind !== 'check') throw new Error('no gate');
  return gate;
}

it('the gate counts what changed against the base, and names each attribute and why it is another one', () => {
  const { summary, text = '' } = gateWith(
    changes([
      { path: ['old'], kind: 'removed' },
      { path: ['new'], kind: 'added' },
      { path: ['a|b'], kind: 'rebuilt', cause: { kind: 'name', from: 'openssl-3.0', to: 'openssl-3.1' } },
      { path: ['c'], kind: 'rebuilt', cause: { kind: 'source', name: 'src', of: 'lib`x' } },
    ]),
  );
  expect(summary).toContain(
    'Compared with [`fedcba9`](https://ci.example.org/acme/hello/commit/fedcba9876543210fedcba9876543210fedcba98)' +
      ' of `main`: 1 removed, 1 added, 2 rebuilt, 3 unchanged.',
  );
  expect(text.slice(text.indexOf('**What changed**')).split('\n').slice(2)).toEqual([
    '| | Attribute | First difference |',
    '|---|---|---|',
    '| ➖ removed | `old` |  |',
    '| ➕ added | `new` |  |',
    '| 🔁 rebuilt | `"a\\|b"` | `openssl-3.0` became `openssl-3.1` |',
    '| 🔁 rebuilt | `c` | source `src` of ``lib`x`` |',
  ]);
});

it('a commit that changes nothing says so, without a table', () => {
  const { summary, text } = gateWith(changes([]));
  expect(summary).toContain('of `main`: nothing changed.');
  expect(text).not.toContain('What changed');
});

it('many changes leave the most room to the results, and both tables end at whole rows with the rest counted', () => {
  const names = Array.from({ length: 2_000 }, (_, index) => `attribute-${'🎪'.repeat(9)}${index}`);
  const { text = '' } = gateWith(
    changes(
      names.map((name) => ({ path: [name], kind: 'rebuilt' })),
      70,
    ),
    names,
  );
  expect(utf8Length(text)).toBeLessThanOrEqual(limits.outputBytes);
  const [results = '', changed = ''] = text.split('**What changed**');
  expect(utf8Length(results)).toBeGreaterThan(40_000);
  for (const [table, all] of [
    [results, 2_000],
    [changed, 2_070],
  ] as const) {
    const rows = table.match(/^\| .* \|$/gm)?.filter((row) => row.includes('attribute-')) ?? [];
    expect(table).toContain(`[${all - rows.length} more](https://`);
  }
});
