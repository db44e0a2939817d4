/** Whatever a repository and its builders say, it is shown as code that nothing in it can leave. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { limits, utf8Length } from '../limits.ts';
import { planReports } from './plan.ts';
import { evaluation, evaluationError, facts, failedBuild, job, options } from './test-facts.ts';

const hostile = fc.string({
  unit: fc.constantFrom(
    '`',
    '```',
    '````sh\n',
    '~~~\n',
    '\n',
    '\n\n',
    '\r',
    '\t',
    '|',
    '\\',
    ' @everyone ',
    '<!--',
    '-->',
    '<details open>',
    '</summary>',
    '![x](http://evil.example/y.png)',
    '[a](http://evil.example)',
    'https://evil.example',
    'www.evil.example',
    '&lt;',
    '#1 ',
    '\u202e',
    '\u2066',
    '\u200b',
    '\u0085',
    '\u2028',
    '\u001b[31m',
    '\u001b]8;;http://evil.example\u0007',
    '\ud800',
    '🎪',
    'word',
    '- ',
    '    ',
  ),
  maxLength: 30,
});

/** Markdown without its code: fenced blocks first, as GitHub reads them, then runs of backticks. */
function withoutCode(markdown: string): string {
  const outside: string[] = [];
  let fence: string | undefined;
  for (const line of markdown.split('\n')) {
    if (fence !== undefined) {
      // A fence ends at a line of at least as many backticks and nothing else, indented by at most three.
      const closing = /^ {0,3}(`{3,})\s*$/.exec(line)?.[1];
      if (closing !== undefined && closing.length >= fence.length) fence = undefined;
      continue;
    }
    const opening = /^ {0,3}(`{3,})[^`]*$/.exec(line)?.[1];
    if (opening === undefined) outside.push(line);
    else fence = opening;
  }
  expect(fence, 'a fence that was not closed').toBeUndefined();
  return outside.map((line) => line.replace(/(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)/g, '')).join('\n');
}

it('mentions, links, images, HTML and characters that hide others are dead in everything that is shown', () => {
  fc.assert(
    fc.property(fc.array(hostile, { minLength: 8, maxLength: 8 }), (texts) => {
      const at = (index: number) => texts[index] ?? '';
      const hashes = { specified: at(3), got: at(4) };
      const log = { attemptId: 1, lines: at(2).split('\n'), totalLines: 99 };
      const culprit = { name: at(6), state: 'output-mismatch', message: at(5) } as const;
      const jobs = [
        job(['a', at(0)], { build: failedBuild({ message: at(1), log, hashes }), name: at(3) }),
        job(['b', at(1)], { build: failedBuild({ state: 'dependency-failed', culprit, hashes, log }) }),
        evaluationError(['c', at(2)], at(4), { file: at(5), line: 1 }),
      ];
      const planned = planReports(
        facts({
          jobs,
          evaluation: evaluation({
            state: 'failed',
            file: at(6),
            notices: [{ type: 'notice', message: at(7) }],
          }),
          changes: {
            baseSha: 'f'.repeat(40),
            baseBranch: at(7),
            counts: { added: 1, removed: 0, rebuilt: 2, broken: 0, repaired: 0, unchanged: 0 },
            attributes: [
              { path: [at(0)], kind: 'added' },
              { path: [at(1)], kind: 'rebuilt', cause: { kind: 'name', from: at(2), to: at(3) } },
              { path: [at(4)], kind: 'rebuilt', cause: { kind: 'variable', name: at(5), of: at(6) } },
            ],
          },
        }),
        options,
      );
      for (const report of planned) {
        if (report.kind === 'status') continue;
        for (const markdown of [report.summary, report.text ?? '']) {
          expect(utf8Length(markdown)).toBeLessThanOrEqual(limits.outputBytes);
          expect(markdown).not.toMatch(/(?!\n|\t)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
          const words = withoutCode(markdown).replaceAll(/\]\(https:\/\/ci\.example\.org\/[^\s()]*\)/g, ']');
          expect(words).not.toMatch(/@|<|evil|&lt;|!\[|#1/);
        }
      }
    }),
    { numRuns: 150 },
  );
});

it('a wrong hash is told with the one to write in its place', () => {
  const hashes = { specified: `sha256-${'A'.repeat(43)}=`, got: `sha256-${'B'.repeat(43)}=` };
  const jobs = [job('source', { build: failedBuild({ state: 'output-mismatch', hashes }) })];
  const check = planReports(facts({ jobs }), options).find(({ name }) => name === 'ringmaster / source');
  expect(check?.kind === 'check' && check.summary).toContain(
    `- specified: \`${hashes.specified}\`\n- got: \`${hashes.got}\``,
  );
});
