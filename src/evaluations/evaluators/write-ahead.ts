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

export interface WhenToWrite {
  /** Derivations that have to have come together before they are written. */
  readonly atLeast: number;
  /**
   * Where it is not known whether anybody is going to ask: called when somebody does, and nothing is
   * written before that.
   */
  readonly onAsked?: (() => void) | undefined;
}

/** Derivations that are written at a time: whoever asks for one of them waits for all. */
const atMost = 100;

export function writeAhead(derivations: PendingDerivations, when: WhenToWrite): WritingAhead {
  const waiting: string[] = [];
  let writing: Promise<void> | undefined;
  let wanted = when.onAsked === undefined;
  let ended = false;

  async function writeWaiting(): Promise<void> {
    while (!ended && waiting.length >= when.atLeast) {
      const some = waiting.splice(0, atMost);
      await derivations.write(some).catch(() => {});
    }
    writing = undefined;
  }

  function begin(): void {
    if (wanted && !ended && waiting.length >= when.atLeast) writing ??= writeWaiting();
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
    keep: derivations.keep,
    close: derivations.close,
    add: (drvPath, content, references) => {
      if (!derivations.has(drvPath)) waiting.push(drvPath);
      derivations.add(drvPath, content, references);
      begin();
    },
    write: (drvPaths) => {
      if (!wanted) when.onAsked?.();
      wanted = true;
      const asked = derivations.write(drvPaths);
      begin();
      return asked;
    },
  };
  return {
    derivations: ahead,
    end: async () => {
      ended = true;
      await writing;
    },
  };
}
