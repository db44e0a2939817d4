export { type AskedCheck, askForCheck, askForSamples, cancelCheck, checkRefusals } from './ask.ts';
export { claimChecks } from './claim.ts';
export { type CheckEnd, endChecks } from './end.ts';
export { type CheckRecord, type CheckState, checkStates, checkWords, listChecks } from './read.ts';
