/** How runs are put into words: the same for lines, live display and summary. */
import { type BuildState, stateWords } from '../../builds/index.ts';
import {
  type AttributePath,
  type EvaluationError,
  formatAttributePath,
  type JobFound,
} from '../../evaluations/index.ts';
import type { Style, Tone } from '../terminal/style.ts';
import { count, formatSeconds, plainLine } from '../terminal/text.ts';
import type { JobResult } from './journal.ts';
import type { RunSummary } from './reporter.ts';

/** `hello-2.12` of `/nix/store/…-hello-2.12.drv`. */
export function derivationLabel(drvPath: string): string {
  return plainLine(drvPath.replace(/^.*\/[0-9a-z]{32}-/, '').replace(/\.drv$/, ''));
}

/** An attribute as Nix would write it. */
export function pathLabel(path: AttributePath): string {
  return plainLine(formatAttributePath(path));
}

/** A derivation by the attributes that want it, else by its own name. */
export function buildLabel(drvPath: string, jobs: readonly JobFound[]): string {
  const [first] = jobs;
  if (first === undefined) return derivationLabel(drvPath);
  return pathLabel(first.path) + (jobs.length === 1 ? '' : ` (and ${jobs.length - 1} more)`);
}

/** `ci.nix:4:7: attribute 'x' missing`, on one line. */
export function errorLine(error: EvaluationError): string {
  const { location, message } = error;
  const lines = message.split('\n');
  const words = lines.find((line) => /^\s*error: +\S/.test(line)) ?? lines[0] ?? '';
  const place = location
    ? [location.file, location.line, location.column].filter((part) => part !== undefined)
    : [];
  return plainLine([...place, ` ${words.replace(/^\s*error: */, '')}`].join(':')).trim();
}

/** The word for an end, with what a mark makes of it. */
export function resultWord(result: JobResult): string {
  const word = result.state === 'cached' ? 'cached' : stateWords[result.state];
  if (result.state === 'cancelled') return word;
  if (result.job.mark === 'must-fail') return result.good ? `${word}, as it must` : `${word}, but must fail`;
  const spoiled = result.state !== 'succeeded' && result.state !== 'cached';
  return result.job.mark === 'may-fail' && spoiled ? `${word}, as it may` : word;
}

/** Shape and colour of an end. */
export function markOf(
  state: BuildState | 'cached',
  good: boolean,
  style: Style,
): { shape: string; tone: Tone } {
  if (state === 'cancelled') return { shape: style.shapes.stopped, tone: 'muted' };
  if (good) return { shape: style.shapes.good, tone: 'success' };
  if (state === 'dependency-failed') return { shape: style.shapes.fallen, tone: 'danger' };
  return { shape: style.shapes.bad, tone: 'danger' };
}

/** The last line of a run. */
export function summaryLine({ counts, seconds, built, interrupted }: RunSummary): string {
  const parts: string[] = [];
  const add = (number: number, word: string) => {
    if (number > 0) parts.push(`${number} ${word}`);
  };
  add(counts.succeeded, 'built');
  add(counts.cached, 'cached');
  add(counts.failed, 'failed');
  add(counts.timedOut, 'timed out');
  add(counts.dependencyFailed, 'dependency failed');
  add(counts.cancelled, 'cancelled');
  const jobs = count(counts.jobs, 'job') + (parts.length > 0 ? `: ${parts.join(', ')}` : '');
  const errors = counts.errors > 0 ? `, ${count(counts.errors, 'evaluation error')}` : '';
  const how = interrupted ? ', interrupted' : built ? '' : ', not built';
  return `${jobs}${errors}${how}, ${formatSeconds(seconds)}`;
}

/** What follows the name on a line about an end: how long it took, or why it ended so. */
export function explanation(
  end: { readonly seconds: number; readonly message: string; readonly culprit?: string | undefined },
  labelOf: (drvPath: string) => string,
): string {
  if (end.culprit !== undefined) return `  because of ${labelOf(end.culprit)}`;
  const [first = ''] = end.message.split('\n');
  const parts = [end.seconds > 0 ? formatSeconds(end.seconds) : '', shortMessage(first)];
  return parts.map((part) => (part === '' ? '' : `  ${part}`)).join('');
}

/** Nix's words without the path of the derivation they are about, which stands beside them. */
export function shortMessage(line: string): string {
  return plainLine(line).replace(/^builder for '[^']*' failed/, 'builder failed');
}
