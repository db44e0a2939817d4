/** From a derivation and those it depends on to the paths that a builder needs. */
import { OperatorError } from '../basics/index.ts';
import type { Derivation, ResolvedDerivation } from '../nix/index.ts';

/** Reads each input derivation once. Throws an OperatorError for inputs whose paths nobody can know. */
export async function resolveInputs(
  derivation: Derivation,
  read: (drvPath: string) => Promise<Derivation>,
): Promise<ResolvedDerivation> {
  const outputs = await Promise.all(
    [...derivation.inputDerivations].map(async ([drvPath, names]) => {
      const input = await read(drvPath);
      return names.map((name) => input.outputs.get(name)?.path ?? unknownPath(drvPath, name));
    }),
  );
  return { derivation, inputs: [...new Set([...derivation.inputSources, ...outputs.flat()])].sort() };
}

function unknownPath(drvPath: string, name: string): never {
  throw new OperatorError({
    code: 'input-path-unknown',
    message: `The path of '${name}' of ${drvPath} is known only after it was built (it is content-addressed).`,
    hint: 'Machines with a store of their own cannot build what depends on it.',
  });
}
