/** The button that writes the right hash in place of a wrong one, and what came of pressing it. */
import { isFailure } from '../../builds/index.ts';
import type { HashApplication, JobFacts, ReportFacts } from '../facts.ts';
import { inlineCode, safeInline } from '../markdown.ts';
import type { CheckAction } from '../types.ts';

/** What the button says to us when it is pressed. */
export const applyHashButton = 'apply-hash';

const button: CheckAction = {
  label: 'Apply hash',
  identifier: applyHashButton,
  description: 'Write the hash that it has now',
};

/**
 * The button, where the App can do what it promises. Empty actions take away one that was there: GitHub
 * keeps what a call does not name.
 */
export function applyButton(
  facts: ReportFacts,
  job: JobFacts,
): { readonly actions?: readonly CheckAction[] } {
  if (!mismatchOf(job) || facts.mayApply !== true || facts.trust !== 'trusted') return {};
  return { actions: applicationOf(facts, job)?.applied ? [] : [button] };
}

/** What came of it, for the summary. */
export function applyWords(facts: ReportFacts, job: JobFacts): readonly string[] {
  const application = applicationOf(facts, job);
  if (!application) return [];
  const outcome = application.outcome ?? 'It is under way.';
  return [`${inlineCode(application.askedBy)} pressed **Apply hash**. ${safeInline(outcome)}`];
}

function mismatchOf({ build }: JobFacts) {
  return build && isFailure(build.state) ? build.hashes : undefined;
}

function applicationOf(facts: ReportFacts, job: JobFacts): HashApplication | undefined {
  const hashes = mismatchOf(job);
  return hashes && facts.applications?.find(({ specified }) => specified === hashes.specified);
}
