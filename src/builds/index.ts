export { type ClaimedBuild, claimBuilds } from './claim.ts';
export { completeAttempt, type OnBuildsChanged, releaseAttempts } from './complete.ts';
export { type Dispatcher, type DispatcherOptions, startDispatcher } from './dispatcher.ts';
export { buildsChannel, enqueueBuilds, type WantedBuild } from './enqueue.ts';
export * from './states.ts';
