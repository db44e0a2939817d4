/** What both evaluators are before their findings are put into words for people. */
import type {
  AttributePath,
  EvaluationLimits,
  JobLimits,
  JobMark,
  SourceArgument,
  SourceLocation,
} from '../events.ts';
import type { FlakeRoot } from './flakes/flake-root.ts';
import type { Waiting } from './waiting.ts';

/** A finding as the evaluator gives it: messages are Nix's own, with colours and absolute paths. */
export type Finding =
  | {
      readonly kind: 'derivation';
      readonly path: AttributePath;
      readonly name: string;
      readonly drvPath: string;
      readonly mark: JobMark;
      readonly limits?: JobLimits;
    }
  | {
      readonly kind: 'error';
      readonly path: AttributePath;
      readonly text: string;
      /** Where the attribute is defined, for messages that name no place of their own. Absolute. */
      readonly definedAt?: SourceLocation;
    }
  | { readonly kind: 'notice'; readonly text: string };

/** A finding that belongs to an attribute. */
export type AttributeFinding = Exclude<Finding, { kind: 'notice' }>;

export interface WalkRequest {
  /** Resolved absolute path of the checkout. */
  readonly checkout: string;
  /** Absolute path of the file to evaluate. */
  readonly file: string;
  /** Set when that is a flake. */
  readonly flake?: FlakeRoot;
  readonly source: SourceArgument;
  readonly trusted: boolean;
  readonly withoutTrees?: boolean;
  readonly limits: EvaluationLimits;
  /** Private directory for the evaluator's own files; removed after the evaluation. */
  readonly directory: string;
  /** Whether the evaluation waits for builds; no limit's time passes meanwhile. */
  readonly waiting: Waiting;
  /** Begins the failures that the traversal rules themselves throw. */
  readonly nonce: string;
  /** Called, perhaps often, when the code asks which commit it is. */
  readonly onCommitUsed?: () => void;
  /** Cancelled, or out of time: the walk kills its processes and ends without a finding. */
  readonly signal: AbortSignal;
}

/** Walks a tree and yields what it finds as it finds it. */
export type Walk = (request: WalkRequest) => AsyncGenerator<Finding>;
