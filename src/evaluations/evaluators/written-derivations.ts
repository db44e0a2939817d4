/** Derivations that nobody wants to keep: they are in the store by the end of the evaluation. */
import { createPendingDerivations, type PendingDerivations, type TextWriter } from '../../nix/index.ts';
import { writeAhead } from './write-ahead.ts';

export interface DerivationsOfEvaluation {
  readonly derivations: PendingDerivations;
  /** At the good end of the evaluation: all of them are in the store then. */
  finish(): Promise<void>;
  letGo(): Promise<void>;
}

/** Nobody waits for a single one, so the store is spared. */
const atLeast = 100;

export function writeWhileEvaluating(writer: TextWriter): DerivationsOfEvaluation {
  const derivations = createPendingDerivations(writer);
  const ahead = writeAhead(derivations, atLeast);
  return {
    derivations: ahead.derivations,
    finish: async () => {
      await derivations.write([...derivations.paths()]);
    },
    letGo: async () => {
      await ahead.end();
      await writer.close();
      derivations.close();
    },
  };
}
