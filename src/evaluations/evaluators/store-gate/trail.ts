/** What an evaluation added to the store, as far as its gate saw it; that is all of it. */

export interface Trail {
  /** Derivations that it made, in the store or not. */
  readonly derivations: ReadonlySet<string>;
  /** Files, texts and what it fetched. */
  readonly sources: ReadonlySet<string>;
  derivation(path: string): void;
  added(path: string): void;
}

export function createTrail(): Trail {
  const derivations = new Set<string>();
  const sources = new Set<string>();
  return {
    derivations,
    sources,
    derivation: (path) => void derivations.add(path),
    added: (path) => void sources.add(path),
  };
}
