/** What planning and queueing tell each other. */
import type { Derivation, NixStore, StoreLayout } from '../nix/index.ts';

/** What a job asks of the build of its derivation. */
export interface BuildLimits {
  readonly timeoutSeconds?: number | undefined;
  readonly maxSilentSeconds?: number | undefined;
  /** Higher first. */
  readonly priority?: number | undefined;
}

/** A derivation that has to be built, with the ones it needs that have to be built as well. */
export interface WantedBuild {
  readonly drvPath: string;
  readonly name: string;
  readonly system: string;
  readonly requiredFeatures: readonly string[];
  readonly outputs: Readonly<Record<string, string | null>>;
  /** Only its inputs are to be built, not itself: it ends well when they have. */
  readonly inputsOnly: boolean;
  /** A download with a known hash: what it fails of may be the network. */
  readonly fixedOutput?: boolean;
  /** Derivation paths, all of them in the same part or an earlier one, and not `inputsOnly` there. */
  readonly inputs: readonly string[];
  /**
   * Its text with all inputs as paths: all that a builder needs to know. Absent: it has to be in the
   * store, with those it depends on, to be built.
   */
  readonly derivation?: Buffer | undefined;
}

/** Derivations that are perhaps not in the store yet. */
export interface DerivationTexts {
  has(drvPath: string): boolean;
  read(drvPath: string): Derivation | undefined;
  write(drvPaths: readonly string[]): Promise<void>;
}

export interface PlannerOptions {
  readonly store: Pick<NixStore, 'queryMissing' | 'queryValidPaths' | 'querySubstitutable'>;
  readonly layout: StoreLayout;
  readonly derivations?: DerivationTexts | undefined;
  /** Whether wanted builds are to carry their texts. */
  readonly withTexts?: boolean | undefined;
}
