/**
 * Derivations that are going to be files of the store anyway are written beside the evaluation, each
 * time all that have come meanwhile: one alone takes longer than one of many, and whoever asks for it
 * waits until it is there.
 */
import type { PendingDerivations } from '../../nix/index.ts';

export interface WritingAhead {
  /** The same derivations; what is added is written soon. What could not be written is told to who asks for it. */
  readonly derivations: PendingDerivations;
  /** Writes what has come, and from now on what comes. */
  begin(): void;
  /** Begins no more, and waits for what has begun. */
  end(): Promise<void>;
}

export interface WhenToWrite {
  /** Derivations that have to have come together before they are written. */
  readonly atLeast: number;
  /** False: nothing is written before {@link WritingAhead.begin}. */
  readonly atOnce: boolean;
}

/** Derivations that are written at a time: whoever asks for one of them waits for all. */
const atMost = 100;

export function writeAhead(derivations: PendingDerivations, when: WhenToWrite): WritingAhead {
  const waiting: string[] = [];
  let writing: Promise<void> | undefined;
  let wanted = when.atOnce;
  let ended = false;

  async function writeWaiting(): Promise<void> {
    while (!ended && waiting.length >= when.atLeast) {
      const some = waiting.splice(0, atMost);
      await derivations.write(some).catch(() => {});
    }
    writing = undefined;
  }

  function writeMore(): void {
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
    write: derivations.write,
    keep: derivations.keep,
    close: derivations.close,
    add: (drvPath, content, references) => {
      if (!derivations.has(drvPath)) waiting.push(drvPath);
      derivations.add(drvPath, content, references);
      writeMore();
    },
  };
  return {
    derivations: ahead,
    begin: () => {
      wanted = true;
      writeMore();
    },
    end: async () => {
      ended = true;
      await writing;
    },
  };
}
