/** What is to stand on GitHub for each revision, and making GitHub agree with it. */

export { commitOf } from './commit-of.ts';
export { limits } from './limits.ts';
export { type CommitOnDashboard, jobUrl, revisionUrl } from './links.ts';
export { fenced, inlineCode } from './markdown.ts';
export { attributeCheckName, evaluationCheckName, gateName, summaryStatusName } from './names.ts';
export { type Allowance, createGovernor, type Governor } from './outbox/governor.ts';
export { createReportTasks, type ReportTaskOptions } from './outbox/handlers.ts';
export { type Lacking, planReport, type Supply } from './outbox/plan-report.ts';
export { createReconciler, reconcileTask, requestReconciling } from './outbox/reconcile.ts';
export { endPause, resumeReports } from './outbox/resume.ts';
export { reportIdOf } from './outbox/row.ts';
export { createReportSender, type ReportSender, type SenderOptions } from './outbox/send-reports.ts';
export { type Swept, sweepReports } from './outbox/sweep.ts';
export { planReportTask, requestReport, sendReportsTask } from './outbox/tasks.ts';
export { createPlaceFinder, findPlacesTask, type PlaceFinder } from './places/find-places.ts';
export { applyHashButton } from './plan/apply-hash.ts';
export { gateButtons } from './plan/gate.ts';
export { headline } from './plan/headline.ts';
export { type PlanOptions, planReports } from './plan/plan.ts';
export { reproductionLines } from './plan/reproduce.ts';
export { saysMore, shortCause } from './plan/short-cause.ts';
export { readReportFacts } from './read.ts';
export type {
  Annotation,
  CheckAction,
  CheckConclusion,
  DesiredCheck,
  DesiredReport,
  DesiredStatus,
  ReportAddress,
  ReportTransport,
  SendResult,
  StandingCheck,
} from './types.ts';
