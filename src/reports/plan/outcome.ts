/**
 * What the revision as a whole comes to. Gate and commit status both say this, in their own form.
 *
 *   approval            a person has to approve the commit first
 *   irrelevant | held   the repository's settings leave it out: for good, or for the time being
 *   waiting -> working  not over; `waiting` may say for what
 *   good | bad | cancelled
 */
import { evaluationFiles } from '../../evaluations/index.ts';
import { settingsFilePath } from '../../projects/index.ts';
import type { EvaluationFacts, ReportFacts } from '../facts.ts';
import { firstLine } from '../markdown.ts';
import { attributes, type Counts, countAll, countsInWords } from './counts.ts';
import { headline } from './headline.ts';
import type { JudgedJob } from './verdict.ts';

export interface Outcome {
  readonly kind: 'approval' | 'irrelevant' | 'held' | 'waiting' | 'working' | 'good' | 'bad' | 'cancelled';
  /** One sentence, changing with every build that ends. */
  readonly title: string;
  /** One sentence that changes only with the phase: commit statuses cannot be updated, only added. */
  readonly phase: string;
}

export function outcomeOf(facts: ReportFacts, judged: readonly JudgedJob[]): Outcome {
  // Before trust: of what is left out nothing is run, whoever made it.
  if (!facts.evaluation && facts.passedOver) {
    return steady(
      facts.passedOver.kind,
      facts.passedOver.kind === 'irrelevant' ? 'Nothing relevant changed' : 'Not evaluated for now',
    );
  }
  if (facts.trust === 'needs-approval') {
    return steady('approval', 'Approval needed before this commit is evaluated and built');
  }
  const evaluation = facts.evaluation;
  if (!evaluation) return steady('waiting', 'Waiting to be evaluated');
  switch (evaluation.state) {
    case 'queued':
      return steady(
        'waiting',
        evaluation.waitingFor ? `Waiting: ${firstLine(evaluation.waitingFor)}` : 'Waiting to be evaluated',
      );
    case 'evaluating':
      return evaluating(evaluation, countAll(facts, judged));
    case 'building': {
      const counts = countAll(facts, judged);
      return {
        kind: 'working',
        title: counts.all === 0 ? 'Building' : `Building: ${countsInWords(counts)}`,
        phase: `Building ${attributes(counts.all)}`,
      };
    }
    default:
      return withSettings(ended(facts, evaluation, judged), facts);
  }
}

/** How far it is: a large evaluation takes minutes, in which builds fail already. */
function evaluating({ file }: EvaluationFacts, counts: Counts): Outcome {
  const phase = file ? `Evaluating ${file}` : 'Evaluating';
  const found = `${attributes(counts.all)} so far${counts.bad > 0 ? `, ${counts.bad} failed` : ''}`;
  return { kind: 'working', title: counts.all === 0 ? phase : `${phase}: ${found}`, phase };
}

/** What is good otherwise is not, when its settings do not count: nobody would notice. */
function withSettings(outcome: Outcome, { settingsReview }: ReportFacts): Outcome {
  const [problem] = settingsReview?.problems ?? [];
  if (outcome.kind !== 'good' || problem === undefined) return outcome;
  return steady('bad', `${settingsFilePath}:${problem.line}: ${firstLine(problem.message)}`);
}

function ended(facts: ReportFacts, evaluation: EvaluationFacts, judged: readonly JudgedJob[]): Outcome {
  const counts = countAll(facts, judged);
  const root = judged.find(({ job }) => job.error && job.path.length === 0)?.job.error;
  if (root) return steady('bad', rootSentence(root.message));
  if (counts.bad > 0) return steady('bad', summary(counts));
  if (evaluation.state === 'cancelled') {
    const why = evaluation.cancelReason && firstLine(evaluation.cancelReason);
    if (why) return steady('cancelled', /^cancelled/i.test(why) ? why : `Cancelled. ${why}`);
    return steady('cancelled', counts.all > 0 ? `Cancelled: ${countsInWords(counts)}` : 'Cancelled');
  }
  if (counts.cancelled > 0) return steady('cancelled', `Cancelled: ${countsInWords(counts)}`);
  // Whatever it was that failed: a gate never turns green over it.
  if (evaluation.state === 'failed') return steady('bad', noFile(evaluation));
  if (counts.all === 0) {
    return steady('good', `Nothing to build: ${evaluation.file ?? 'the file'} has no derivations`);
  }
  return steady('good', summary(counts));
}

/** A repository without any of the files has done nothing wrong that would have to be called an error. */
function rootSentence(message: string): string {
  const cause = headline(message);
  const nothing = /^The repository has nothing to evaluate\b/.test(cause);
  return nothing ? `Nothing to evaluate: ${noneOfTheFiles}` : `Evaluation failed: ${cause}`;
}

const noneOfTheFiles = `there is no ${[...evaluationFiles, 'flake.nix'].join(', no ')}`;

function noFile(evaluation: EvaluationFacts): string {
  return evaluation.file === undefined ? `Nothing to evaluate: ${noneOfTheFiles}` : 'Evaluation failed';
}

/** `2 of 40 attributes failed`, `All 40 attributes are good`. */
function summary(counts: Counts): string {
  if (counts.bad > 0) return `${counts.bad} of ${attributes(counts.all)} failed`;
  if (counts.tolerated > 0) {
    return `${counts.good} of ${attributes(counts.all)} are good, ${counts.tolerated} failed but may fail`;
  }
  return counts.all === 1 ? '1 attribute is good' : `All ${counts.all} attributes are good`;
}

function steady(kind: Outcome['kind'], title: string): Outcome {
  return { kind, title, phase: title };
}
