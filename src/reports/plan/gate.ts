/**
 * The gate: the one check a branch protection needs. It exists for every revision and always ends,
 * so whatever state the facts are in, it says something.
 */
import type { ReportFacts } from '../facts.ts';
import { cutBytesVisibly, cutText, limits, utf8Length } from '../limits.ts';
import { jobUrl, revisionUrl } from '../links.ts';
import { fenced, inlineCode, joinWithin, present, safeInline, tableCell } from '../markdown.ts';
import { gateName } from '../names.ts';
import type { CheckAction, CheckConclusion, DesiredCheck } from '../types.ts';
import { causesList, fewOfEachCause } from './causes.ts';
import { changesSentence, changesTable } from './changes.ts';
import { countAll, countJobs, countsInWords } from './counts.ts';
import type { Outcome } from './outcome.ts';
import { settingsAnnotations, settingsBlocks } from './settings.ts';
import { durationOf, type JudgedJob } from './verdict.ts';

export interface GateOptions {
  readonly publicUrl: string;
  /** The comment that approves a commit, for example `/ci approve`; undefined where there is none. */
  readonly approveComment?: string;
}

export function planGate(
  facts: ReportFacts,
  judged: readonly JudgedJob[],
  outcome: Outcome,
  options: GateOptions,
): DesiredCheck {
  const page = revisionUrl(options.publicUrl, facts);
  const text = gateText(facts, judged, options.publicUrl, page);
  const evaluation = facts.evaluation;
  const base = {
    kind: 'check',
    name: gateName,
    title: cutText(outcome.title, limits.title),
    summary: gateSummary(facts, judged, outcome, options, page),
    ...(text === undefined ? {} : { text }),
    detailsUrl: page,
    ...(evaluation?.startedAt ? { startedAt: evaluation.startedAt.toISOString() } : {}),
    annotations: settingsAnnotations(facts.settingsReview),
  } as const;
  const actions = buttonsOf(outcome, facts.trust);
  const conclusion = conclusions[outcome.kind];
  // The verdict is under way from the first moment, whatever the work still waits for: the title says
  // what. Progress of a run is told sparingly, and a gate that is being worked on must not look idle.
  if (!conclusion) return { ...base, annotations: [], status: 'in_progress', actions };
  return {
    ...base,
    status: 'completed',
    conclusion,
    actions,
    ...(evaluation?.finishedAt ? { completedAt: evaluation.finishedAt.toISOString() } : {}),
  };
}

const conclusions = {
  // Neutral and skipped would satisfy a required check without anybody's approval.
  approval: 'action_required',
  // Here that is what the repository asked for.
  irrelevant: 'neutral',
  held: 'action_required',
  waiting: undefined,
  working: undefined,
  good: 'success',
  bad: 'failure',
  cancelled: 'cancelled',
} as const satisfies Record<Outcome['kind'], CheckConclusion | undefined>;

/** What can be done about a commit, for those with write permission; GitHub sends us who pressed. */
function buttonsOf({ kind }: Outcome, trust: ReportFacts['trust']): readonly CheckAction[] {
  const approve = {
    label: 'Approve',
    identifier: gateButtons.approve,
    description: 'Evaluate and build this commit',
  };
  switch (kind) {
    case 'approval':
      return [approve];
    case 'irrelevant':
    case 'held':
      if (trust === 'needs-approval') return [approve];
      return [
        {
          label: 'Evaluate anyway',
          identifier: gateButtons.rerunFailed,
          description: 'Evaluate and build it',
        },
      ];
    case 'waiting':
    case 'working':
      return [
        { label: 'Cancel', identifier: gateButtons.cancel, description: 'Stop evaluating and building' },
      ];
    case 'bad':
    case 'cancelled':
      return [
        {
          label: 'Re-run failed',
          identifier: gateButtons.rerunFailed,
          description: 'Try again what did not succeed',
        },
      ];
    case 'good':
      return [];
  }
}

/** What the buttons say to us when they are pressed. */
export const gateButtons = { approve: 'approve', rerunFailed: 'rerun-failed', cancel: 'cancel' } as const;

function gateSummary(
  facts: ReportFacts,
  judged: readonly JudgedJob[],
  outcome: Outcome,
  options: GateOptions,
  page: string,
): string {
  const link = `[Everything about this commit](${page})`;
  const settings = settingsBlocks(facts.settingsReview);
  if (outcome.kind === 'approval') {
    const blocks = [...approvalBlocks(facts, options), ...settings, link];
    return joinWithin('', blocks, () => '', '\n\n').trimStart();
  }
  if (outcome.kind === 'irrelevant' || outcome.kind === 'held') {
    const reason = facts.passedOver && inlineCode(facts.passedOver.reason, 2_000);
    return joinWithin(outcome.title, present([reason, ...settings, link]), () => '', '\n\n');
  }
  const evaluation = facts.evaluation;
  const root = judged.find(({ job }) => job.error && job.path.length === 0)?.job.error;
  const blocks = present([
    evaluation?.file && `File: ${inlineCode(evaluation.file)}`,
    judged.length > 0 && !root && `Attributes: ${countsInWords(countAll(facts, judged))}.`,
    // The title says what failed; that it was ended on top of that stands nowhere else.
    outcome.kind === 'bad' && evaluation?.state === 'cancelled' && safeInline(evaluation.cancelReason ?? ''),
    causesList(facts),
    changesSentence(facts, options.publicUrl),
    root && `The evaluation failed as a whole:\n\n${fenced(cutBytesVisibly(root.message, rootBytes))}`,
    evaluation?.waitingFor && !evaluation.finishedAt && `It waits: ${inlineCode(evaluation.waitingFor)}`,
    ...settings,
    link,
  ]);
  return joinWithin(safeInline(cutText(outcome.title, 1000)), blocks, () => '', '\n\n');
}

/** Bytes of an error that leaves nothing else to tell. */
const rootBytes = 8 * 1024;

function approvalBlocks(facts: ReportFacts, options: GateOptions): readonly string[] {
  const ways = [
    'press **Approve** on this check',
    ...(options.approveComment === undefined
      ? []
      : [`comment ${inlineCode(options.approveComment)} on the pull request`]),
    'push this very commit to a branch of this repository',
  ];
  return [
    'Nothing of this commit has been evaluated or built: somebody with write permission has to look at it first.',
    ...(facts.trustReason === undefined ? [] : [`Why: ${safeInline(facts.trustReason)}`]),
    `After reading the changes, ${ways.join(', or ')}. An approval holds for this commit alone.`,
  ];
}

/** All attributes, and below them those that changed. */
function gateText(
  facts: ReportFacts,
  judged: readonly JudgedJob[],
  publicUrl: string,
  page: string,
): string | undefined {
  const changes = changesTable(facts.changes, page);
  const ending = changes === undefined ? '' : `\n\n${changes}`;
  const table = gateTable(facts, judged, publicUrl, page, limits.outputBytes - utf8Length(ending));
  return table === undefined ? changes : table + ending;
}

/** All attributes, failed first; as many whole rows as fit. */
function gateTable(
  facts: ReportFacts,
  judged: readonly JudgedJob[],
  publicUrl: string,
  page: string,
  maxBytes: number,
): string | undefined {
  // An error at the root is told above, whole; a table of it alone would say it again.
  if (judged.every(({ job }) => job.error && job.path.length === 0)) return undefined;
  const rows = fewOfEachCause(judged).map(({ job, label, verdict }) => {
    const name = tableCell(inlineCode(label, 300));
    const link = `[${name}](${jobUrl(publicUrl, facts, job.path)})`;
    const time = (!job.cached && job.build && durationOf(job.build)) || '';
    return `| ${verdict.shape} | ${link} | ${tableCell(safeInline(cutText(verdict.sentence, 200)))} | ${time} |`;
  });
  const unread = countJobs(facts) - rows.length;
  const more = (left: number) => (left === 0 ? '' : `\n\n[${left} more](${page})`);
  return joinWithin(
    '| | Attribute | State | Time |\n|---|---|---|---|',
    rows,
    (left) => more(left + unread),
    '\n',
    maxBytes,
  );
}
