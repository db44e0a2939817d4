import { messageOf } from '../../basics/index.ts';
import type { Provenance } from './provenance.ts';

/** The database or the store did not say what an evaluation may use; another time they may. */
export class ProvenanceUnavailable extends Error {
  constructor(cause: unknown) {
    super(`It cannot be found out which store paths the evaluation may use: ${messageOf(cause)}`, { cause });
    this.name = 'ProvenanceUnavailable';
  }
}

export interface WatchedProvenance extends Provenance {
  /** Aborted with the first failure, a ProvenanceUnavailable. */
  readonly brokenOff: AbortSignal;
}

/**
 * Remembers that a question failed. Evaluators take that for an error of the code they evaluate,
 * which it is not.
 */
export function watchProvenance(provenance: Provenance): WatchedProvenance {
  const broken = new AbortController();
  const watched = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      const unavailable = new ProvenanceUnavailable(error);
      broken.abort(unavailable);
      throw unavailable;
    }
  };
  return {
    brokenOff: broken.signal,
    allowed: (paths) => watched(provenance.allowed(paths)),
    remember: (paths) => watched(provenance.remember(paths)),
  };
}
