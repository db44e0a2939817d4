/**
 * Derivations that are going to be files of the store anyway are written beside the evaluation, each
 * time all that have come meanwhile: one alone takes longer than one of many, and whoever asks for it
 * waits until it is there.
 */
import type { PendingDerivations } from '../../nix/index.ts';

export interface WritingAhead {
  /** The same derivations; what is added is written soon. What could not be written is told to who asks for it. */
  readonly derivations: PendingDerivations;
  /** Begins no more, and waits for what has begun. */
  end(): Promise<void>;
}

/** `atLeast`: derivations that have to have come together before they are written. */
export function writeAhead(derivations: PendingDerivations, atLeast: number): WritingAhead {
  let waiting: string[] = [];
  let writing: Promise<void> | undefined;

  async function writeWaiting(): Promise<void> {
    while (waiting.length >= atLeast) {
      const some = waiting;
      waiting = [];
      await derivations.write(some).catch(() => {});
    }
    writing = undefined;
  }

  const ahead: PendingDerivations = {
    get size() {
      return derivations.size;
    },
    get bytes() {
      return derivations.bytes;
    },
    paths: derivations.paths,
    has: derivations.has,
    read: derivations.read,
    references: derivations.references,
    write: derivations.write,
    keep: derivations.keep,
    close: derivations.close,
    add: (drvPath, content, references) => {
      if (!derivations.has(drvPath)) waiting.push(drvPath);
      derivations.add(drvPath, content, references);
      if (waiting.length >= atLeast) writing ??= writeWaiting();
    },
  };
  return {
    derivations: ahead,
    end: async () => {
      waiting = [];
      await writing;
    },
  };
}
