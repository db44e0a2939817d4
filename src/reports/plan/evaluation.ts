/** `ringmaster / evaluation`: what ci.nix says, and where in the diff it says it wrongly. */

import type { EvaluationFacts, JobFacts, ReportFacts } from '../facts.ts';
import { cutBytesVisibly, cutText, limits } from '../limits.ts';
import { revisionUrl } from '../links.ts';
import { fenced, firstLine, inlineCode, joinWithin, plainText, present } from '../markdown.ts';
import { displayPath, evaluationCheckName } from '../names.ts';
import type { Annotation, DesiredCheck } from '../types.ts';
import { attributes } from './counts.ts';
import { headline } from './headline.ts';
import { isEvaluated } from './selection.ts';
import { compare } from './verdict.ts';

type FailedJob = JobFacts & { readonly error: NonNullable<JobFacts['error']> };

export function planEvaluation(
  facts: ReportFacts,
  evaluation: EvaluationFacts,
  publicUrl: string,
): DesiredCheck {
  const errors = facts.jobs
    .filter((job): job is FailedJob => job.error !== undefined)
    .sort((a, b) => compare(displayPath(a.path), displayPath(b.path)));
  const text = evaluationText(evaluation, errors, revisionUrl(publicUrl, facts));
  const base = {
    kind: 'check',
    name: evaluationCheckName,
    title: cutText(title(facts, evaluation, errors), limits.title),
    summary: evaluationSummary(facts, evaluation, errors.length, publicUrl),
    ...(text === '' ? {} : { text }),
    detailsUrl: revisionUrl(publicUrl, facts),
    ...(evaluation.startedAt ? { startedAt: evaluation.startedAt.toISOString() } : {}),
  } as const;
  const completedAt = evaluation.evaluatedAt ?? evaluation.finishedAt;
  const ended = { ...(completedAt ? { completedAt: completedAt.toISOString() } : {}) };
  if (isEvaluated(evaluation)) {
    const conclusion =
      errors.length > 0 || failedWithoutWords(evaluation, facts.jobs) ? 'failure' : 'success';
    // Only now: GitHub appends annotations, so the list must not change once it was sent.
    return { ...base, ...ended, status: 'completed', conclusion, annotations: annotate(evaluation, errors) };
  }
  if (evaluation.state === 'cancelled') {
    return { ...base, ...ended, status: 'completed', conclusion: 'cancelled', annotations: [] };
  }
  return { ...base, status: evaluation.state === 'queued' ? 'queued' : 'in_progress', annotations: [] };
}

function failedWithoutWords(evaluation: EvaluationFacts, jobs: readonly JobFacts[]): boolean {
  return evaluation.state === 'failed' && jobs.length === 0;
}

function title(facts: ReportFacts, evaluation: EvaluationFacts, errors: readonly FailedJob[]): string {
  const jobs = facts.jobs.length;
  if (evaluation.state === 'queued') {
    return evaluation.waitingFor ? `Waiting: ${firstLine(evaluation.waitingFor)}` : 'Waiting to be evaluated';
  }
  if (evaluation.state === 'evaluating') return 'Evaluating';
  if (!isEvaluated(evaluation)) return 'Cancelled before it was evaluated';
  const root = errors.find((job) => job.path.length === 0);
  if (root) return headline(root.error.message);
  if (errors.length > 0)
    return `${errors.length} of ${attributes(jobs)} did not evaluate${known(facts, evaluation)}`;
  if (evaluation.state === 'failed' && jobs === 0) return 'The evaluation failed';
  const notices = evaluation.notices.length;
  const suffix = notices === 0 ? '' : notices === 1 ? ', 1 notice' : `, ${notices} notices`;
  return `${attributes(jobs)}${known(facts, evaluation) || ' evaluated'}${suffix}`;
}

/** `, known from commit 0123456`: nothing was evaluated, since the files are the same. */
function known({ sha }: ReportFacts, { knownFrom }: EvaluationFacts): string {
  if (knownFrom === undefined) return '';
  return knownFrom === sha ? ', known from before' : `, known from commit ${knownFrom.slice(0, 7)}`;
}

function evaluationSummary(
  facts: ReportFacts,
  evaluation: EvaluationFacts,
  errors: number,
  publicUrl: string,
): string {
  const jobs = facts.jobs.length;
  const { knownFrom } = evaluation;
  const shown = Math.min(errors, limits.annotationsInAll);
  const rows = present([
    evaluation.file && `- File: ${inlineCode(evaluation.file)}`,
    evaluation.evaluator && `- Evaluator: ${inlineCode(evaluation.evaluator)}`,
    knownFrom !== undefined &&
      `- Not evaluated again: [commit ${knownFrom.slice(0, 7)}](${revisionUrl(publicUrl, { ...facts, sha: knownFrom })}) has the same files`,
    // An error at the root leaves none to count.
    !facts.jobs.some((job) => job.error && job.path.length === 0) &&
      `- Attributes: ${jobs - errors} evaluated, ${errors} with an error`,
    evaluation.waitingFor && !evaluation.finishedAt && `- It waits: ${inlineCode(evaluation.waitingFor)}`,
    shown < errors && `- The first ${shown} errors are marked in the files.`,
  ]);
  return rows.join('\n');
}

function evaluationText(evaluation: EvaluationFacts, errors: readonly FailedJob[], page: string): string {
  const blocks = [
    ...errors.map((job) => {
      const where = job.error.location
        ? ` in ${inlineCode(`${job.error.location.file}:${job.error.location.line}`)}`
        : '';
      const what = job.path.length === 0 ? 'The whole evaluation' : inlineCode(displayPath(job.path), 300);
      return `❌ ${what}${where}\n\n${fenced(cutBytesVisibly(job.error.message, 4096))}`;
    }),
    ...evaluation.notices.map((notice) => `ℹ️ ${inlineCode(notice.message)}`),
  ];
  return joinWithin('', blocks, (left) => `\n\n[${left} more](${page})`, '\n\n').trimStart();
}

function annotate(evaluation: EvaluationFacts, errors: readonly FailedJob[]): readonly Annotation[] {
  const ofErrors = errors.flatMap((job): Annotation[] => {
    // GitHub wants a line for every annotation; an error with none is in the text only.
    const location = job.error.location;
    if (!location) return [];
    const name = job.path.length === 0 ? 'Evaluation failed' : `${displayPath(job.path)} does not evaluate`;
    return [annotation(location, 'failure', job.error.message, name)];
  });
  const ofNotices = evaluation.notices.flatMap((notice): Annotation[] =>
    notice.location ? [annotation(notice.location, 'notice', notice.message)] : [],
  );
  return [...ofErrors, ...ofNotices].slice(0, limits.annotationsInAll);
}

function annotation(
  location: NonNullable<FailedJob['error']['location']>,
  level: Annotation['level'],
  message: string,
  title?: string,
): Annotation {
  return {
    path: location.file,
    startLine: location.line,
    endLine: location.line,
    ...(location.column === undefined ? {} : { startColumn: location.column }),
    level,
    ...(title === undefined ? {} : { title: cutText(title, limits.annotationTitle) }),
    // An empty message is refused.
    message: cutBytesVisibly(plainText(message), limits.annotationMessageBytes) || 'No message.',
  };
}
