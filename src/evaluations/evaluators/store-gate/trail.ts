/** What an evaluation did to the store, as far as its gate saw it; that is all of it. */
import type { BuildReply, DaemonEvent } from '../../../nix/index.ts';

/** What is built while an evaluation waits for it. */
export interface HeardBuild {
  event(event: DaemonEvent): void;
  ended(results: readonly BuildReply[]): void;
}

export interface Trail {
  /** Derivations that it made, in the store or not. */
  readonly derivations: ReadonlySet<string>;
  /** Files, texts and what it fetched. */
  readonly sources: ReadonlySet<string>;
  derivation(path: string): void;
  added(path: string): void;
  /** `paths`: as asked, `DRV!OUTPUTS`. */
  building(paths: readonly string[]): HeardBuild;
}

export function createTrail(onBuild?: (paths: readonly string[]) => HeardBuild): Trail {
  const derivations = new Set<string>();
  const sources = new Set<string>();
  return {
    derivations,
    sources,
    derivation: (path) => void derivations.add(path),
    added: (path) => void sources.add(path),
    building: (paths) => onBuild?.(paths) ?? { event: () => {}, ended: () => {} },
  };
}
