import type { MissingPlanner } from '../builds/index.ts';
import type { PendingDerivations } from '../nix/index.ts';

/** What is used to find out what the jobs of one evaluation need. */
export interface Planning {
  readonly planner: MissingPlanner;
  /** Where the evaluation keeps the derivations it makes; absent: they are all in the store. */
  readonly derivations?: PendingDerivations;
}

export type OpenPlanning = () => Promise<Planning>;

export interface VetRequest {
  /** To be built, as soon as they have passed. Their closures have to be looked at as well. */
  readonly drvPaths: readonly string[];
  /** Those that are not in the store yet. */
  readonly derivations: PendingDerivations | undefined;
}

/**
 * Looks at derivations before they are written and queued: returns those that must not be built, with
 * the reason for people. What depends on them is refused as well.
 */
export type Vet = (request: VetRequest) => Promise<ReadonlyMap<string, string>>;
