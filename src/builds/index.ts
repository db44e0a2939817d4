export {
  cancelBuilds,
  cancelBuildsOf,
  cancelReason,
  cancelReasons,
  cancelRequested,
  endCancelledInQueue,
  takeBackCancelRequests,
} from './cancel.ts';
export { buildsChannel, cancelChannel } from './channels.ts';
export {
  askForCheck,
  type CheckRecord,
  cancelCheck,
  checkRefusals,
  checkStates,
  checkWords,
  listChecks,
} from './checks/index.ts';
export {
  type Claim,
  type ClaimedBuild,
  type ClaimingBuilder,
  type ClaimRequest,
  claimBuilds,
} from './claim.ts';
export { type AttemptEnd, completeAttempt, completeAttempts, type OnBuildsChanged } from './complete.ts';
export { type Dispatcher, type DispatcherOptions, startDispatcher } from './dispatcher.ts';
export {
  type BuildsPart,
  createEnqueuer,
  type EnqueuedBuilds,
  type EnqueueOptions,
  type Enqueuer,
  enqueueBuilds,
} from './enqueue.ts';
export {
  type FailuresOptions,
  failuresKnown,
  forgetFailures,
  type KnownFailure,
} from './failure-cache.ts';
export { type GcRootsOptions, type KeptResults, updateGcRoots } from './gc-roots.ts';
export { lockGraphForPlanning } from './graph-lock.ts';
export { type HoldOptions, holdDerivations } from './hold-derivations.ts';
export {
  type BegunImport,
  beginImport,
  endImport,
  type ImportWish,
  releaseImports,
} from './imports.ts';
export { type Keeping, keepBuild, keepRefusals, keptSince, letGoOfBuild } from './kept.ts';
export { adoptAttempt, releaseAttempts, renewLeases } from './leases.ts';
export {
  type LocalBuildFinished,
  type LocalRunEvent,
  type LocalRunOptions,
  runLocally,
} from './local-run.ts';
export { endForsaken } from './lost.ts';
export {
  type BuildPlan,
  type BuildWish,
  createMissingPlanner,
  type MissingPlanner,
  type Outputs,
  planMissing,
} from './missing.ts';
export { bumpPriority, bumpStep } from './priority.ts';
export { type AttemptRecord, type BuildRecord, findBuildRecord, listBuildRecords } from './records.ts';
export { type RemovedHistory, removeOldHistory } from './retention.ts';
export { type Capability, canTake } from './scheduling/capability.ts';
export * from './states.ts';
export { refuseWaiting } from './unsupported.ts';
export type { BuildLimits, WantedBuild } from './wanted.ts';
