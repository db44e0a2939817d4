/** The machines that this process drives: who is there now, and word when that changes. */
import type { Builder } from './types.ts';

export interface BuilderFleet {
  list(): readonly Builder[];
  /** A builder with the id of one that is there takes its place. */
  add(builder: Builder): void;
  /** Does nothing when another has taken its place. What runs on it is not touched. */
  remove(builder: Builder): void;
  /** To be called when a builder that is there changed: it accepts again, has other slots. */
  changed(): void;
  /** Calls `listener` after each change; returns what ends that. */
  onChange(listener: () => void): () => void;
}

export function createBuilderFleet(): BuilderFleet {
  const builders = new Map<number, Builder>();
  const listeners = new Set<() => void>();
  const changed = () => {
    for (const listener of listeners) listener();
  };
  return {
    list: () => [...builders.values()],
    add(builder) {
      builders.set(builder.id, builder);
      changed();
    },
    remove(builder) {
      if (builders.get(builder.id) !== builder) return;
      builders.delete(builder.id);
      changed();
    },
    changed,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
