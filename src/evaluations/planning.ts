import type { MissingPlanner } from '../builds/index.ts';
import type { PendingDerivations } from '../nix/index.ts';
import type { Witnesses } from './witnesses.ts';

/** What is used to find out what the jobs of one evaluation need. */
export interface Planning {
  readonly planner: MissingPlanner;
  /** Where the evaluation keeps the derivations it makes; absent: they are all in the store. */
  readonly derivations?: PendingDerivations;
  /** Absent: results of earlier evaluations are asked for one by one. */
  readonly witnesses?: Witnesses;
}

export type OpenPlanning = () => Promise<Planning>;
