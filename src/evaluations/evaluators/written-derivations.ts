/** Derivations that nobody wants to keep: they are in the store by the end of the evaluation. */
import { createPendingDerivations, type PendingDerivations, type TextWriter } from '../../nix/index.ts';
import { writeAhead } from './write-ahead.ts';

export interface DerivationsOfEvaluation {
  readonly derivations: PendingDerivations;
  /** At the good end of the evaluation: all of them are in the store then. */
  finish(): Promise<void>;
  letGo(): Promise<void>;
}

export function writeWhileEvaluating(writer: TextWriter): DerivationsOfEvaluation {
  const derivations = createPendingDerivations(writer);
  const ahead = writeAhead(derivations, { atLeast: 100, atOnce: true });
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
