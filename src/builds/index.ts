export {
  cancelBuilds,
  cancelBuildsOf,
  cancelReason,
  cancelRequested,
  endCancelledInQueue,
  takeBackCancelRequests,
} from './cancel.ts';
export { buildsChannel, cancelChannel } from './channels.ts';
export { type ClaimedBuild, claimBuilds } from './claim.ts';
export { completeAttempt, type OnBuildsChanged, releaseAttempts } from './complete.ts';
export { type Dispatcher, type DispatcherOptions, startDispatcher } from './dispatcher.ts';
export { type EnqueuedBuilds, type EnqueueOptions, enqueueBuilds, type WantedBuild } from './enqueue.ts';
export {
  type FailuresOptions,
  failuresKnown,
  forgetFailures,
  type KnownFailure,
} from './failure-cache.ts';
export { lockGraphForPlanning } from './graph-lock.ts';
export {
  type LocalBuildFinished,
  type LocalRunEvent,
  type LocalRunOptions,
  type LocalRunWish,
  runLocally,
} from './local-run.ts';
export { type BuildPlan, type BuildWish, planMissing } from './missing.ts';
export { bumpPriority, bumpStep } from './priority.ts';
export * from './states.ts';
