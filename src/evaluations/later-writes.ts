/**
 * Derivations that builders can do without are written to the store beside everything else: for other
 * commits with the same files, for people, and so that what they need is not collected.
 */
import type { PendingDerivations } from '../nix/index.ts';

export interface LaterWrites {
  add(drvPaths: readonly string[]): void;
  /** Resolves when all are written; rejects when one could not be. */
  untilWritten(): Promise<void>;
  /** Begins no more, and waits for what has begun. */
  giveUp(): Promise<void>;
}

export function createLaterWrites(derivations: PendingDerivations | undefined): LaterWrites {
  let givenUp = false;
  let failure: { readonly error: unknown } | undefined;
  let last: Promise<void> = Promise.resolve();

  async function write(drvPaths: readonly string[]): Promise<void> {
    if (givenUp || failure) return;
    try {
      await derivations?.write(drvPaths);
    } catch (error) {
      failure = { error };
    }
  }

  return {
    add(drvPaths) {
      if (drvPaths.length > 0) last = last.then(() => write(drvPaths));
    },
    async untilWritten() {
      await last;
      if (failure) throw failure.error;
    },
    async giveUp() {
      givenUp = true;
      await last;
    },
  };
}
