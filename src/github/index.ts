export {
  type GitHubApp,
  type GitHubClient,
  type GitHubSettings,
  missingGitHubSettings,
  openGitHubApp,
} from './app.ts';
export { applyHashTask, endForsakenApplications } from './apply-hash/applications.ts';
export { createHashApplier } from './apply-hash/apply.ts';
export { createAnswerTeller, tellAnswersTask } from './commands/answers.ts';
export { createCommitPermission } from './commit-permission.ts';
export { createDeliveryProcessor, processDeliveryTask } from './deliveries/process-delivery.ts';
export { removeOldDeliveries } from './deliveries/retention.ts';
export { createDeliverySweeper, requestDeliverySweep, sweepDeliveriesTask } from './deliveries/sweep.ts';
export { failureOf, type GitHubFailure } from './failures.ts';
export { createGitAccess } from './git-credentials.ts';
export { type AppInspection, inspectGitHubApp } from './inspect.ts';
export { openPins, type PinOptions } from './pins.ts';
export { createQuestions } from './questions.ts';
export { createSetupFlow, type SetupFlow, SetupProblem } from './setup/flow.ts';
export { readStoredApp, type StoredApp, withStoredApp } from './setup/stored-app.ts';
export { createReportTransport } from './transport.ts';
export { type WebhookOptions, webhooks, webhooksPath } from './webhooks.ts';
