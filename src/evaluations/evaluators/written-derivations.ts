/**
 * Derivations that nobody wants to keep: they are written to the store while the evaluation goes on,
 * since writing one takes a store longer than evaluating it. For evaluations that nothing is built of.
 */
import { createPendingDerivations, type PendingDerivations, type TextWriter } from '../../nix/index.ts';

export interface DerivationsOfEvaluation {
  readonly derivations: PendingDerivations;
  /** At the good end of the evaluation: all of them are in the store then. */
  finish(): Promise<void>;
  letGo(): Promise<void>;
}

export function writeWhileEvaluating(writer: TextWriter): DerivationsOfEvaluation {
  const derivations = createPendingDerivations(writer);
  let waiting: string[] = [];
  let writing: Promise<void> | undefined;
  /** Each write takes what has come during the one before. */
  const begin = () => {
    if (writing !== undefined || waiting.length === 0) return;
    const some = waiting;
    waiting = [];
    writing = derivations
      .write(some)
      // The end tries again, and tells.
      .catch(() => {})
      .then(() => {
        writing = undefined;
        begin();
      });
  };
  return {
    derivations: {
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
        begin();
      },
    },
    finish: async () => {
      await derivations.write([...derivations.paths()]);
    },
    letGo: async () => {
      await writer.close();
      derivations.close();
    },
  };
}
