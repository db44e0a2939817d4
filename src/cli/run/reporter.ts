/** What every way of showing a run can do: for programs, as lines, or live on a terminal. */
import type { LocalRunEvent } from '../../builds/index.ts';
import type { EvaluationEvent } from '../../evaluations/index.ts';
import type { ImportEvent } from './imports.ts';
import type { JobResult, RunCounts } from './journal.ts';

export interface RunStart {
  /** Absolute path of the checkout. */
  readonly checkout: string;
  readonly evaluator: string;
  /** Full commit id, when the checkout is one. */
  readonly revision: string | undefined;
  /** The command that prints a log, without the derivation. */
  readonly readLog: string;
}

export interface RunSummary {
  readonly evaluation: 'succeeded' | 'failed';
  readonly counts: RunCounts;
  /** Since the start of the run. */
  readonly seconds: number;
  readonly built: boolean;
  readonly interrupted: boolean;
  readonly good: boolean;
}

/** Calls come in this order: started, evaluated and imported…, (evaluationEnded, building…), ended. */
export interface RunReporter {
  started(start: RunStart): void;
  evaluated(event: EvaluationEvent): void;
  imported(event: ImportEvent): void;
  evaluationEnded(seconds: number): void;
  /** `results`: the jobs that ended with this event. */
  building(event: LocalRunEvent, results: readonly JobResult[]): void;
  ended(summary: RunSummary): Promise<void>;
  /** After anything was thrown: leaves the terminal as it was. */
  abandon(): void;
}
