/** The JSON lines of `ringmaster run --json`: a public contract. Fields may be added, never changed. */
import type { EvaluationEvent } from '../../evaluations/index.ts';
import { isGood } from '../../nix/index.ts';
import type { ImportEvent } from './imports.ts';
import type { JobResult } from './journal.ts';
import type { LogTails } from './log-tails.ts';
import type { RunReporter } from './reporter.ts';

/** Writes one object a line. The first is `evaluation`, the last `summary`. */
export function createJsonReporter(write: (text: string) => void, tails: LogTails): RunReporter {
  const print = (value: Readonly<Record<string, unknown>>) => write(`${JSON.stringify(value)}\n`);
  let evaluator = '';
  let announced = false;
  /** Notices that came before the file was known: `evaluation` is to be the first line. */
  const early: Readonly<Record<string, unknown>>[] = [];
  const announce = (file: string | null, by: string) => {
    announced = true;
    print({ type: 'evaluation', file, evaluator: by });
    for (const line of early) print(line);
  };
  return {
    started(start) {
      evaluator = start.evaluator;
    },
    evaluated(event) {
      if (event.type === 'started') return announce(event.file, event.evaluator);
      // An evaluation that found no file starts with its error.
      if (!announced && event.type !== 'notice') announce(null, evaluator);
      if (announced) print(evaluationLine(event));
      else early.push(evaluationLine(event));
    },
    imported(event) {
      if (event.type === 'finished') print(importLine(event, tails));
    },
    evaluationEnded() {
      if (!announced) announce(null, evaluator);
    },
    building(_event, results) {
      for (const result of results) print(buildLine(result, tails));
    },
    async ended({ evaluation, counts, seconds, interrupted, good }) {
      if (!announced) announce(null, evaluator);
      const { jobs, errors, succeeded, failed, cached, dependencyFailed, timedOut, cancelled } = counts;
      print({
        type: 'summary',
        evaluation,
        jobs,
        errors,
        succeeded,
        failed,
        cached,
        dependencyFailed,
        timedOut,
        cancelled,
        seconds: rounded(seconds),
        interrupted,
        ok: good,
      });
    },
    abandon() {},
  };
}

type Line = Exclude<EvaluationEvent, { readonly type: 'started' }>;

function evaluationLine(event: Line): Readonly<Record<string, unknown>> {
  if (event.type === 'job') {
    const { path, drvPath, name, system, outputs, mark } = event;
    return { type: 'job', path, drvPath, name, system, outputs, mark };
  }
  const place = {
    file: event.location?.file ?? null,
    line: event.location?.line ?? null,
    column: event.location?.column ?? null,
  };
  return event.type === 'error'
    ? { type: 'error', path: event.path, message: event.message, ...place }
    : { type: 'notice', message: event.message, ...place };
}

/** What was built because the evaluation reads what it makes. Such builds belong to no attribute. */
function importLine(
  { drvPath, name, end, seconds }: Extract<ImportEvent, { readonly type: 'finished' }>,
  tails: LogTails,
): Readonly<Record<string, unknown>> {
  const { status, message } = end;
  const ok = isGood(status);
  const failure = ok ? {} : { message, logTail: tails.linesOf(drvPath) };
  return { type: 'import', drvPath, name, status, ok, seconds: rounded(seconds), ...failure };
}

function buildLine(result: JobResult, tails: LogTails): Readonly<Record<string, unknown>> {
  const { job, status, state, good, outputs, message, culprit, seconds } = result;
  const line = {
    type: 'build',
    path: job.path,
    drvPath: job.drvPath,
    status,
    outputs,
    ok: good,
    seconds: rounded(seconds),
  };
  const failure =
    status === 'succeeded' || status === 'cached'
      ? {}
      : // `reason` is the exact end, for example `output-mismatch`.
        { reason: state, message, culprit: culprit ?? null, logTail: tails.linesOf(culprit ?? job.drvPath) };
  return { ...line, ...failure };
}

function rounded(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
