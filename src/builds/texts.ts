/**
 * What builders are told of a build: the text of its derivation with all inputs as paths, which no
 * store needs to have. Nix would check a derivation that is written to its store, so here it is checked
 * whether it makes what it says. What has no such text has to be written and built the long way.
 */
import { createOutputPaths, type Derivation, readDerivation, resolvedText } from '../nix/index.ts';
import type { PlannerOptions } from './wanted.ts';

export interface BuilderTexts {
  /** Undefined when the derivation has to be in the store. `known` are derivations that were read already. */
  textOf(drvPath: string, known: ReadonlyMap<string, Derivation>): Promise<Buffer | undefined>;
}

/** Remembers what it has checked. One question at a time. */
export function createBuilderTexts({ layout, derivations }: PlannerOptions): BuilderTexts {
  let read = new Map<string, Derivation>();
  let knownNow: ReadonlyMap<string, Derivation> = read;

  async function derivationAt(drvPath: string): Promise<Derivation> {
    const found = knownNow.get(drvPath) ?? read.get(drvPath);
    if (found) return found;
    const derivation = derivations?.read(drvPath) ?? (await readDerivation(layout, drvPath));
    read.set(drvPath, derivation);
    return derivation;
  }
  const outputPaths = createOutputPaths({ storeDir: layout.storeDir, read: derivationAt });

  return {
    async textOf(drvPath, known) {
      if (known !== knownNow) read = new Map();
      knownNow = known;
      const derivation = await derivationAt(drvPath);
      if ([...derivation.outputs.values()].some(({ path }) => path === undefined)) return undefined;
      // Builders of these look at derivations as files.
      if (derivation.inputSources.some((path) => path.endsWith('.drv'))) return undefined;
      // Those in the store were checked by Nix.
      if (derivations?.has(drvPath) && !(await outputPaths.areRight(drvPath))) return undefined;
      const inputs = new Set(derivation.inputSources);
      for (const [input, names] of derivation.inputDerivations) {
        const { outputs } = await derivationAt(input);
        for (const name of names) {
          const path = outputs.get(name)?.path;
          if (path === undefined) return undefined;
          inputs.add(path);
        }
      }
      return resolvedText({ derivation, inputs: [...inputs].sort() });
    },
  };
}
