/** The outputs of all derivations that an evaluation made, read when somebody asks: mostly nobody does. */
import type { PendingDerivations } from '../../../nix/index.ts';
import type { Trail } from './trail.ts';

export interface MadeOutputs {
  /** The evaluation's derivations that say they make this path. */
  makersOf(path: string): readonly string[];
  /**
   * Whether the derivation's output paths are those that follow from what it is. Texts can be written
   * by hand and claim anything (`builtins.toFile "x.drv"`); the store works it out and refuses them.
   */
  areTrue(drvPath: string): Promise<boolean>;
}

export function createOutputs(derivations: PendingDerivations, trail: Trail): MadeOutputs {
  const makers = new Map<string, string[]>();
  let read = 0;

  function readNew(): void {
    let index = 0;
    for (const drvPath of trail.derivations) {
      index += 1;
      if (index <= read) continue;
      for (const { path } of derivations.read(drvPath)?.outputs.values() ?? []) {
        if (path === undefined) continue;
        const known = makers.get(path);
        if (known) known.push(drvPath);
        else makers.set(path, [drvPath]);
      }
    }
    read = index;
  }

  return {
    makersOf: (path) => {
      if (read < trail.derivations.size) readNew();
      return makers.get(path) ?? [];
    },
    areTrue: (drvPath) =>
      derivations.write([drvPath]).then(
        () => true,
        () => false,
      ),
  };
}
