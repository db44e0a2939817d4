/** From a checkout to its jobs: what other parts of the program use of evaluation. */

export { matchesGlob } from './attribute-glob.ts';
export { attributePathFromUrl, attributePathToUrl, formatAttributePath } from './attribute-path.ts';
export {
  createProvenance,
  forgetOldPaths,
  type Provenance,
  type ProvenanceOptions,
} from './audit/provenance.ts';
export { type BatchReader, type BatchRhythm, readInBatches } from './batches.ts';
export {
  type CancelOptions,
  cancelBuild,
  cancelEvaluations,
  requestSupersede,
  supersedeEvaluations,
  supersedeTask,
} from './cancel.ts';
export { type ComparisonOptions, compareTask, createComparer, readChanges } from './changes/store-changes.ts';
export {
  type AttributeChange,
  type ChangeCause,
  type ChangeCounts,
  type ChangeKind,
  changeKinds,
  type EvaluationChanges,
} from './changes/types.ts';
export { causeInWords, changesInWords, countChanged } from './changes/words.ts';
export {
  type Coordinator,
  type CoordinatorOptions,
  startCoordinator,
} from './coordinator.ts';
export type { EvaluatorInUse } from './evaluate-commit.ts';
export {
  createEvaluator,
  type Evaluator,
  type EvaluatorNix,
  type EvaluatorOptions,
} from './evaluators/create-evaluator.ts';
export { type EvaluationFile, evaluationFiles, findEvaluationFile } from './evaluators/find-file.ts';
export { type JailSetting, probeJail } from './evaluators/jail/jail.ts';
export * from './events.ts';
export { formatEvaluationError } from './format-error.ts';
export type { OpenedPins, OpenPins, Pins } from './pins.ts';
export type { OpenPlanning, Planning } from './planning.ts';
export { type ClaimedEvaluation, releaseEvaluations } from './queue.ts';
export { type Approval, approveRevision, type Rerun, type RerunRequest, rerunRevision } from './rerun.ts';
export { type Restart, restartBuild } from './restart-build.ts';
export { settleAfterBuilds } from './settle.ts';
export {
  createSubmitRevision,
  evaluationsChannel,
  type OnRevisionChanged,
  type PassedOver,
  type RevisionSubmission,
  revisionChannel,
  type SourceKind,
  type SubmitRevision,
  type SubmittedRevision,
} from './submit.ts';
export { createWitnesses, createWitnessMaker, type Witnesses, witnessTask } from './witnesses.ts';
