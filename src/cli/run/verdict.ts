/** The end of a run for people: evaluation errors as a compiler prints them, failures with their logs. */
import { formatEvaluationError } from '../../evaluations/index.ts';
import type { Style } from '../terminal/style.ts';
import { count, formatSeconds, plainLine } from '../terminal/text.ts';
import type { JobResult, Journal } from './journal.ts';
import type { LogTails } from './log-tails.ts';
import type { RunStart, RunSummary } from './reporter.ts';
import {
  buildLabel,
  derivationLabel,
  markOf,
  pathLabel,
  resultWord,
  shortMessage,
  summaryLine,
} from './words.ts';

/** More than this is counted, not shown: the reader starts with the first. */
const detailed = 10;
const named = 20;

export interface VerdictInput {
  readonly journal: Journal;
  readonly tails: LogTails;
  readonly style: Style;
  readonly start: RunStart | undefined;
  readonly summary: RunSummary;
  /** False: only the summary line. */
  readonly details: boolean;
}

/** All lines of it, the summary last. */
export async function verdictLines(input: VerdictInput): Promise<readonly string[]> {
  const { style, summary } = input;
  const details = input.details ? [...(await errorLines(input)), ...failureLines(input)] : [];
  const tone = summary.good ? 'success' : 'danger';
  const shape = summary.good ? style.shapes.good : style.shapes.bad;
  return [
    ...details,
    ...(details.length > 0 ? [''] : []),
    style.paint(tone, `${shape} ${summaryLine(summary)}`),
  ];
}

async function errorLines({ journal, style, start }: VerdictInput): Promise<string[]> {
  const lines: string[] = [];
  for (const error of journal.errors.slice(0, named)) {
    const [first = '', ...rest] = (
      await formatEvaluationError(error, { checkout: start?.checkout ?? '' })
    ).split('\n');
    // Indentation carries the excerpt's caret, so only control characters are taken out.
    lines.push('', style.paint('danger', plainLine(first)), ...rest.map((line) => plainLine(line)));
  }
  const more = journal.errors.length - named;
  if (more > 0) lines.push('', `and ${count(more, 'more evaluation error')}`);
  return lines;
}

interface Failure {
  readonly drvPath: string;
  readonly label: string;
  readonly word: string;
  readonly message: string;
  readonly seconds: number;
}

function failureLines(input: VerdictInput): string[] {
  const { journal, style } = input;
  const failures = failuresOf(journal);
  const lines = failures.slice(0, detailed).flatMap((failure) => ['', ...oneFailure(failure, input)]);
  const rest = failures.slice(detailed);
  if (rest.length > 0) {
    lines.push('', ...rest.slice(0, named).map((failure) => heading(failure, style)));
    if (rest.length > named) lines.push(`and ${count(rest.length - named, 'more failure')}`);
  }
  return [...lines, ...fallenLines(journal, style)];
}

/** Jobs that ended badly by themselves, then inputs without a job; a derivation once. */
function failuresOf(journal: Journal): readonly Failure[] {
  const seen = new Set<string>();
  const failures: Failure[] = [];
  for (const result of journal.results) {
    const { drvPath } = result.job;
    if (result.good || result.state === 'cancelled' || result.state === 'dependency-failed') continue;
    if (seen.has(drvPath)) continue;
    seen.add(drvPath);
    const label = buildLabel(drvPath, journal.jobsOf(drvPath));
    failures.push({
      drvPath,
      label,
      word: resultWord(result),
      message: result.message,
      seconds: result.seconds,
    });
  }
  for (const input of journal.failedInputs) {
    const word = 'failed (an input)';
    failures.push({ ...input, label: derivationLabel(input.drvPath), word });
  }
  return failures;
}

function heading({ label, word, seconds }: Failure, style: Style): string {
  const { shape } = markOf('failed', false, style);
  const after = seconds > 0 ? ` after ${formatSeconds(seconds)}` : '';
  return style.paint('danger', `${shape} ${label}: ${word}${after}`);
}

function oneFailure(failure: Failure, { style, tails, start }: VerdictInput): string[] {
  const bar = style.paint('muted', style.shapes.bar);
  const log = tails.linesOf(failure.drvPath).map((line) => `  ${bar} ${plainLine(line)}`);
  const message = failure.message.split('\n').filter((line) => line.trim() !== '');
  const full =
    log.length > 0 && start
      ? [style.paint('muted', `  the whole log: ${start.readLog} ${failure.drvPath}`)]
      : [];
  return [heading(failure, style), ...log, ...message.map((line) => `  ${shortMessage(line)}`), ...full];
}

/** What failed only because something else did, grouped by that. */
function fallenLines(journal: Journal, style: Style): string[] {
  const byCulprit = new Map<string, JobResult[]>();
  for (const result of journal.results) {
    if (result.good || result.culprit === undefined) continue;
    const group = byCulprit.get(result.culprit) ?? [];
    group.push(result);
    byCulprit.set(result.culprit, group);
  }
  return [...byCulprit].flatMap(([culprit, results]) => {
    const because = buildLabel(culprit, journal.jobsOf(culprit));
    const { shape } = markOf('dependency-failed', false, style);
    const shown = results
      .slice(0, named)
      .map(({ job }) =>
        style.paint('danger', `${shape} ${pathLabel(job.path)}: dependency failed: ${because}`),
      );
    const more = results.length - named;
    return ['', ...shown, ...(more > 0 ? [`and ${more} more that need ${because}`] : [])];
  });
}
