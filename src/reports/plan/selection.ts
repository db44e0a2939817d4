/**
 * Which attributes have a check of their own. GitHub lets an installation write 500 times an hour,
 * so a revision of thousands of attributes shows its failures one by one and the rest as a table.
 */
import type { ReportFacts } from '../facts.ts';
import { limits } from '../limits.ts';
import { attributeCheckName } from '../names.ts';
import { compare, type JudgedJob } from './verdict.ts';

export interface OwnCheck {
  readonly name: string;
  readonly judged: JudgedJob;
}

/**
 * At most 40 jobs: all of them. More: those that failed, the first 40 by path. In both cases also
 * the ones that were given a check before, since a check once begun has to end; these count
 * against the 40, so a failure that comes late never replaces one that is shown already.
 */
export function chooseOwnChecks(
  facts: Pick<ReportFacts, 'evaluation' | 'reportedChecks' | 'totals'>,
  judged: readonly JudgedJob[],
): readonly OwnCheck[] {
  // How many jobs there are is known only when the evaluation has ended.
  if (!isEvaluated(facts.evaluation)) return [];
  const checks = judged
    // An error at the root is the evaluation's, which has a check already.
    .filter(({ job }) => !(job.error && job.path.length === 0))
    .map((job) => ({ name: attributeCheckName(job.job.path), judged: job }))
    .sort((a, b) => compare(a.judged.label, b.judged.label));
  if ((facts.totals?.counts.all ?? checks.length) <= limits.ownChecks) return checks;
  const reported = new Set(facts.reportedChecks);
  const begun = checks.filter((check) => reported.has(check.name));
  const failed = checks.filter((check) => check.judged.verdict.phase === 'bad' && !reported.has(check.name));
  return [...begun, ...failed.slice(0, Math.max(0, limits.ownChecks - begun.length))];
}

/** Whether the evaluation proper is over, so that its jobs are all known. */
export function isEvaluated(evaluation: ReportFacts['evaluation']): boolean {
  if (!evaluation) return false;
  if (evaluation.state === 'cancelled') return evaluation.evaluatedAt !== undefined;
  return evaluation.state !== 'queued' && evaluation.state !== 'evaluating';
}
