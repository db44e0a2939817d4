/** The part of the configuration that a run without a server needs. */
import type { EvaluationLimits, EvaluatorOptions } from '../../evaluations/index.ts';
import { readConfiguration } from '../configuration.ts';
import type { CommandContext } from '../context.ts';

export interface RunSettings {
  readonly sandbox: 'required' | 'off';
  readonly evaluator: Pick<EvaluatorOptions, 'prefer' | 'jail' | 'allowedUris' | 'systems'>;
  /** More that evaluators may read. */
  readonly readablePaths: readonly string[];
  readonly limits: EvaluationLimits;
  /** Builds at the same time. */
  readonly slots: number;
  /** Seconds. */
  readonly timeoutSeconds: number;
  readonly maxSilentSeconds: number;
  readonly maxLogBytes: number;
}

/** Reads the configuration as the server would. */
export async function loadRunSettings(context: CommandContext): Promise<RunSettings> {
  const { config } = await readConfiguration(context);
  const { evaluation, builds } = config;
  return {
    sandbox: builds.sandbox,
    evaluator: {
      allowedUris: evaluation.allowedUris,
      jail: evaluation.jail,
      systems: evaluation.systems,
      ...(evaluation.evaluator === 'auto' ? {} : { prefer: evaluation.evaluator }),
    },
    readablePaths: evaluation.readablePaths,
    limits: {
      totalSeconds: evaluation.timeout,
      attributeSeconds: evaluation.attributeTimeout,
      memoryMegabytes: evaluation.memory,
      attributes: evaluation.maxAttributes,
      messageBytes: evaluation.maxMessageBytes,
      importSeconds: evaluation.importTimeout,
      imports: evaluation.maxImports,
      importLogBytes: builds.logLimit,
    },
    slots: Math.max(1, builds.slots),
    timeoutSeconds: builds.timeout,
    maxSilentSeconds: builds.maxSilent,
    maxLogBytes: builds.logLimit,
  };
}
