/** `ringmaster / evaluation`: what ci.nix says, and where in the diff it says it wrongly. */

import type { EvaluationFacts, JobFacts, ReportFacts } from '../facts.ts';
import { cutBytesVisibly, cutText, limits } from '../limits.ts';
import { revisionUrl } from '../links.ts';
import { fenced, firstLine, inlineCode, joinWithin, plainText, present } from '../markdown.ts';
import { displayPath, evaluationCheckName } from '../names.ts';
import type { Annotation, DesiredCheck } from '../types.ts';
import { errorKey } from './causes.ts';
import { attributes, countErrors, countJobs } from './counts.ts';
import { headline } from './headline.ts';
import { isEvaluated } from './selection.ts';
import { compare } from './verdict.ts';

type FailedJob = JobFacts & { readonly error: NonNullable<JobFacts['error']> };

/** What did not evaluate for one and the same. */
interface Failure {
  /** The first by path, and those that were read. */
  readonly first: FailedJob;
  readonly jobs: readonly FailedJob[];
  /** All of them. */
  readonly attributes: number;
}

export function planEvaluation(
  facts: ReportFacts,
  evaluation: EvaluationFacts,
  publicUrl: string,
): DesiredCheck {
  const errors = facts.jobs
    .filter((job): job is FailedJob => job.error !== undefined)
    .sort((a, b) => compare(displayPath(a.path), displayPath(b.path)));
  const failures = together(facts, errors);
  const text = evaluationText(evaluation, failures, countErrors(facts), revisionUrl(publicUrl, facts));
  const base = {
    kind: 'check',
    name: evaluationCheckName,
    title: cutText(title(facts, evaluation, errors), limits.title),
    summary: evaluationSummary(facts, evaluation, failures, publicUrl),
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
    return {
      ...base,
      ...ended,
      status: 'completed',
      conclusion,
      annotations: annotate(evaluation, failures),
    };
  }
  if (evaluation.state === 'cancelled') {
    return { ...base, ...ended, status: 'completed', conclusion: 'cancelled', annotations: [] };
  }
  return { ...base, status: evaluation.state === 'queued' ? 'queued' : 'in_progress', annotations: [] };
}

/** By the path of the first. An error of the evaluation itself stands alone, and names nothing else. */
function together({ causes = [] }: ReportFacts, errors: readonly FailedJob[]): readonly Failure[] {
  const groups = new Map<string, FailedJob[]>();
  for (const job of errors) {
    const key = job.path.length === 0 ? '' : errorKey(job.error);
    const group = groups.get(key);
    if (group) group.push(job);
    else groups.set(key, [job]);
  }
  const known = new Map(
    causes.flatMap(({ error, attributes }) => (error ? [[errorKey(error), attributes]] : [])),
  );
  return [...groups].flatMap(([key, jobs]) => {
    const [first] = jobs;
    return first ? [{ first, jobs, attributes: Math.max(jobs.length, known.get(key) ?? 0) }] : [];
  });
}

function failedWithoutWords(evaluation: EvaluationFacts, jobs: readonly JobFacts[]): boolean {
  return evaluation.state === 'failed' && jobs.length === 0;
}

function title(facts: ReportFacts, evaluation: EvaluationFacts, errors: readonly FailedJob[]): string {
  const jobs = countJobs(facts);
  if (evaluation.state === 'queued') {
    return evaluation.waitingFor ? `Waiting: ${firstLine(evaluation.waitingFor)}` : 'Waiting to be evaluated';
  }
  if (evaluation.state === 'evaluating') return 'Evaluating';
  if (!isEvaluated(evaluation)) return 'Cancelled before it was evaluated';
  const root = errors.find((job) => job.path.length === 0);
  if (root) return headline(root.error.message);
  if (errors.length > 0)
    return `${countErrors(facts)} of ${attributes(jobs)} did not evaluate${known(facts, evaluation)}`;
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
  failures: readonly Failure[],
  publicUrl: string,
): string {
  const jobs = countJobs(facts);
  const { knownFrom } = evaluation;
  const errors = countErrors(facts);
  const causes = failures.length;
  const rows = present([
    evaluation.file && `- File: ${inlineCode(evaluation.file)}`,
    evaluation.evaluator && `- Evaluator: ${inlineCode(evaluation.evaluator)}`,
    knownFrom !== undefined &&
      `- Not evaluated again: [commit ${knownFrom.slice(0, 7)}](${revisionUrl(publicUrl, { ...facts, sha: knownFrom })}) has the same files`,
    // An error at the root leaves none to count.
    !facts.jobs.some((job) => job.error && job.path.length === 0) &&
      `- Attributes: ${jobs - errors} evaluated, ${errors} with an error`,
    evaluation.waitingFor && !evaluation.finishedAt && `- It waits: ${inlineCode(evaluation.waitingFor)}`,
    causes > limits.annotationsInAll &&
      `- The first ${limits.annotationsInAll} errors are marked in the files.`,
  ]);
  return rows.join('\n');
}

function evaluationText(
  evaluation: EvaluationFacts,
  failures: readonly Failure[],
  errors: number,
  page: string,
): string {
  const blocks = [
    ...failures.map((failure) => {
      const { error } = failure.first;
      const where = error.location
        ? ` in ${inlineCode(`${error.location.file}:${error.location.line}`)}`
        : '';
      return `❌ ${whoFailed(failure)}${where}\n\n${fenced(cutBytesVisibly(error.message, 4096))}`;
    }),
    ...evaluation.notices.map((notice) => `ℹ️ ${inlineCode(notice.message)}`),
  ];
  const more = (left: number) => {
    const told = failures.slice(0, blocks.length - left).reduce((sum, { attributes: all }) => sum + all, 0);
    const missing = Math.max(0, errors - told) + Math.min(left, evaluation.notices.length);
    return missing === 0 ? '' : `\n\n[${missing} more](${page})`;
  };
  return joinWithin('', blocks, more, '\n\n').trimStart();
}

/** Names of those that failed for one and the same; more say nothing. */
const namesShown = 10;

function whoFailed({ first, jobs, attributes: count }: Failure): string {
  if (first.path.length === 0) return 'The whole evaluation';
  const names = jobs.slice(0, namesShown).map(({ path }) => inlineCode(displayPath(path), 300));
  const more = count - names.length;
  return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function annotate(evaluation: EvaluationFacts, failures: readonly Failure[]): readonly Annotation[] {
  const ofErrors = failures.flatMap(({ first, attributes: count }): Annotation[] => {
    // GitHub wants a line for every annotation; an error with none is in the text only.
    const { location, message } = first.error;
    if (!location) return [];
    const name = first.path.length === 0 ? 'Evaluation failed' : nameOf(first, count);
    return [annotation(location, 'failure', message, name)];
  });
  const ofNotices = evaluation.notices.flatMap((notice): Annotation[] =>
    notice.location ? [annotation(notice.location, 'notice', notice.message)] : [],
  );
  return [...ofErrors, ...ofNotices].slice(0, limits.annotationsInAll);
}

function nameOf({ path }: FailedJob, count: number): string {
  const others = count === 1 ? '' : count === 2 ? ' and 1 other' : ` and ${count - 1} others`;
  return `${displayPath(path)}${others} ${count === 1 ? 'does' : 'do'} not evaluate`;
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
