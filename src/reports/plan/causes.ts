/** What many attributes failed for is told once, so that what failed for something else is seen. */
import type { JobFacts, ReportFacts, SharedCause } from '../facts.ts';
import { limits } from '../limits.ts';
import { inlineCode, safeInline } from '../markdown.ts';
import { attributes } from './counts.ts';
import { headline } from './headline.ts';
import { badSentence, type JudgedJob } from './verdict.ts';

/** `4812 attributes: attribute 'foo' missing, in ci.nix:12`, a line each; undefined where each failed alone. */
export function causesList({ causes, jobs }: Pick<ReportFacts, 'causes' | 'jobs'>): string | undefined {
  if (!causes || jobs.length < 2) return undefined;
  const lines = causes
    .slice(0, limits.causesShown)
    .map((cause) => `- ${attributes(cause.attributes)}: ${causeInWords(cause)}`);
  return `Failed together:\n\n${lines.join('\n')}`;
}

function causeInWords({ error, build, culprit }: SharedCause): string {
  if (error) {
    const { location } = error;
    const place = location ? `, in ${inlineCode(`${location.file}:${location.line}`, 300)}` : '';
    return `${inlineCode(headline(error.message), 500)}${place}`;
  }
  if (culprit !== undefined) return `${inlineCode(culprit, 300)} did not build`;
  return build ? safeInline(badSentence(build)) : 'no cause is known';
}

/** Equal for those that did not evaluate for one and the same, as `judgedJobs` has it. */
export function errorKey({ message, location }: NonNullable<JobFacts['error']>): string {
  const words = (message.split('\n       …', 1)[0] ?? '').trim();
  return JSON.stringify([words === 'error:' ? message : words, location?.file, location?.line]);
}

/** The same, of those that failed only because of another build; undefined for all that failed by themselves. */
function causeKey({ error, build }: JobFacts): string | undefined {
  if (error) return errorKey(error);
  return build?.culprit
    ? JSON.stringify([build.logAttemptId, build.culprit.name, build.culprit.message])
    : undefined;
}

/** The first of those that failed for one cause; of a few, all. */
export function fewOfEachCause(judged: readonly JudgedJob[]): readonly JudgedJob[] {
  const seen = new Map<string, number>();
  return judged.filter(({ job, verdict }) => {
    const key = verdict.phase === 'bad' ? causeKey(job) : undefined;
    if (key === undefined) return true;
    const nth = (seen.get(key) ?? 0) + 1;
    seen.set(key, nth);
    return nth <= limits.ofOneCause;
  });
}
