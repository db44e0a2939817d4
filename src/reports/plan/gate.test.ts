import { expect, it } from 'vitest';
import type { ReportFacts } from '../facts.ts';
import { planReports } from './plan.ts';
import { evaluation, evaluationError, facts, failedBuild, job, options } from './test-facts.ts';

function gate(change: Partial<ReportFacts>) {
  const found = planReports(facts(change), options).find(({ name }) => name === 'ringmaster');
  if (found?.kind !== 'check') throw new Error('there is no gate');
  return found;
}

it('tells an error of the whole evaluation once, as Nix wrote it', () => {
  const message =
    'error: syntax error\n\n       at ci.nix:2:9:\n            2| { a = 1;\n             |         ^';
  const jobs = [evaluationError([], message, { file: 'ci.nix', line: 2 })];
  const { title, summary, text } = gate({ evaluation: evaluation({ state: 'failed' }), jobs });
  expect(title).toBe('Evaluation failed: syntax error');
  expect(summary).toContain('            2| { a = 1;\n');
  expect(text).toBeUndefined();
});

it('says in its title which files there are not', () => {
  const message = "The repository has nothing to evaluate: none of 'nix/ci.nix' and others is a file.";
  const jobs = [evaluationError([], message)];
  expect(gate({ evaluation: evaluation({ state: 'failed' }), jobs }).title).toBe(
    'Nothing to evaluate: there is no nix/ci.nix, no ci.nix, no default.nix, no flake.nix',
  );
});

it('says who ended it, also where something had failed before', () => {
  const reason = 'Cancelled by ada.';
  const ended = evaluation({ state: 'cancelled', cancelReason: reason });
  expect(gate({ evaluation: ended, jobs: [job('bad', { build: failedBuild() })] }).summary).toContain(reason);
});
