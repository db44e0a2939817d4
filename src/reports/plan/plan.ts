/** From what the database knows to what is to stand on GitHub. Pure: same facts, same reports. */
import type { ReportFacts } from '../facts.ts';
import { cutText, limits } from '../limits.ts';
import { jobUrl, revisionUrl } from '../links.ts';
import { attributeStatusName, evaluationCheckName, gateName, summaryStatusName } from '../names.ts';
import type { DesiredCheck, DesiredReport, DesiredStatus } from '../types.ts';
import { planAttribute } from './attribute.ts';
import { planEvaluation } from './evaluation.ts';
import { type GateOptions, planGate } from './gate.ts';
import { type Outcome, outcomeOf } from './outcome.ts';
import { chooseOwnChecks, isEvaluated, type OwnCheck } from './selection.ts';
import { judgeJobs } from './verdict.ts';

export interface PlanOptions extends GateOptions {
  /** `per-attribute` adds a commit status for every attribute that has a check; repositories may differ. */
  readonly statuses: 'summary' | 'per-attribute';
}

/** The gate comes first: it must exist before any other check of the revision can complete. */
export function planReports(facts: ReportFacts, options: PlanOptions): readonly DesiredReport[] {
  const evaluation = facts.trust === 'needs-approval' ? undefined : facts.evaluation;
  const judged = evaluation ? judgeJobs(facts.jobs, evaluation) : [];
  const outcome = outcomeOf(facts, judged);
  const own = evaluation ? chooseOwnChecks(facts, judged) : [];
  const evaluationCheck = evaluation ? [planEvaluation(facts, evaluation, options.publicUrl)] : [];
  return [
    planGate(facts, judged, outcome, options),
    planSummaryStatus(facts, outcome, options.publicUrl),
    ...evaluationCheck,
    ...own.map((check) => planAttribute(facts, check, options.publicUrl)),
    ...((facts.statuses ?? options.statuses) === 'per-attribute'
      ? own.map((check) => planAttributeStatus(facts, check, options.publicUrl))
      : []),
    ...planVanished(facts, own, options.publicUrl),
  ];
}

function planSummaryStatus(facts: ReportFacts, outcome: Outcome, publicUrl: string): DesiredStatus {
  const states = {
    approval: 'pending',
    irrelevant: 'success',
    held: 'pending',
    waiting: 'pending',
    working: 'pending',
    good: 'success',
    bad: 'failure',
    cancelled: 'error',
  } as const;
  return {
    kind: 'status',
    name: summaryStatusName,
    state: states[outcome.kind],
    description: cutText(outcome.phase, limits.statusDescription),
    targetUrl: revisionUrl(publicUrl, facts),
  };
}

function planAttributeStatus(facts: ReportFacts, { judged }: OwnCheck, publicUrl: string): DesiredStatus {
  const { conclusion, sentence, phase } = judged.verdict;
  const state =
    conclusion === undefined
      ? 'pending'
      : phase === 'bad'
        ? 'failure'
        : phase === 'cancelled'
          ? 'error'
          : 'success';
  return {
    kind: 'status',
    name: attributeStatusName(judged.job.path),
    state,
    // While pending one sentence for all of it: a status cannot be updated, only added.
    description:
      conclusion === undefined ? 'Queued or building' : cutText(sentence, limits.statusDescription),
    targetUrl: jobUrl(publicUrl, facts, judged.job.path),
  };
}

/** Attributes that an earlier evaluation of the same commit had, and the newest does not. */
function planVanished(
  facts: ReportFacts,
  own: readonly OwnCheck[],
  publicUrl: string,
): readonly DesiredCheck[] {
  if (!facts.evaluation || facts.trust === 'needs-approval') return [];
  if (!isEvaluated(facts.evaluation) && !facts.evaluation.finishedAt) return [];
  const planned = new Set([gateName, evaluationCheckName, ...own.map((check) => check.name)]);
  const words = isEvaluated(facts.evaluation) ? vanished : cancelled;
  return facts.reportedChecks
    .filter((name) => !planned.has(name))
    .map((name) => ({
      kind: 'check',
      name,
      status: 'completed',
      ...words,
      detailsUrl: revisionUrl(publicUrl, facts),
      annotations: [],
    }));
}

const vanished = {
  conclusion: 'neutral',
  title: 'Not part of the newest evaluation of this commit',
  summary: 'The newest evaluation of this commit has no such attribute.',
} as const;

const cancelled = {
  conclusion: 'cancelled',
  title: 'Cancelled before it was evaluated again',
  summary: 'The newest evaluation of this commit was cancelled before its attributes were known.',
} as const;
