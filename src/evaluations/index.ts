/** From a checkout to its jobs: what other parts of the program use of evaluation. */
export {
  createEvaluator,
  type Evaluator,
  type EvaluatorNix,
  type EvaluatorOptions,
} from './create-evaluator.ts';
export * from './events.ts';
export { type EvaluationFile, evaluationFiles, findEvaluationFile } from './find-file.ts';
export { formatEvaluationError } from './format-error.ts';
