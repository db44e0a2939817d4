/** The background tasks of reports, ready for the task runner. */
import type { PlanOptions } from '../plan/plan.ts';
import { planReport, type Supply } from './plan-report.ts';
import { createReportSender, type SenderOptions } from './send-reports.ts';
import { planReportPayload, planReportTask, sendReportsPayload, sendReportsTask } from './tasks.ts';

export interface ReportTaskOptions extends SenderOptions {
  /** Asked for each plan: the address may become known after the start. */
  readonly planOptions: () => PlanOptions;
  /** Without it reports tell what is in the database. */
  readonly supply?: Supply;
  /** Told of each revision whose report was planned: whatever people can see of it may have changed. */
  readonly onPlanned?: (revisionId: number) => Promise<void>;
}

/** A part of the task runner's context. */
interface Context {
  readonly signal?: AbortSignal;
}

/** Handlers for `plan-report` and `send-reports`. */
export function createReportTasks(options: ReportTaskOptions) {
  const sender = createReportSender(options);
  return {
    [planReportTask]: async (payload: unknown): Promise<void> => {
      const { revisionId } = planReportPayload.parse(payload);
      await planReport(options.db, revisionId, options.planOptions(), options.supply);
      await options.onPlanned?.(revisionId);
    },
    [sendReportsTask]: async (payload: unknown, context: Context = {}): Promise<void> => {
      const { installationId } = sendReportsPayload.parse(payload);
      await sender.send(installationId, context.signal);
    },
  };
}
