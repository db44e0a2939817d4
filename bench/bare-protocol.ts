/** Builds through the daemon client and nothing else: an operation a derivation, some at a time. */
import PQueue from 'p-queue';
import { silentLogger } from '../src/basics/index.ts';
import { resolveInputs } from '../src/builders/resolve-inputs.ts';
import { type Derivation, type LocalNix, openLocalStore, readDerivation } from '../src/nix/index.ts';

/** `stages`: derivations of one may be built at the same time, one stage after the other. */
export async function buildBare(
  nix: LocalNix,
  stages: readonly (readonly string[])[],
  parallel: number,
): Promise<void> {
  const store = openLocalStore({ nix, logger: silentLogger() });
  const queue = new PQueue({ concurrency: parallel });
  const { signal } = new AbortController();
  const known = new Map<string, Promise<Derivation>>();
  const read = (drvPath: string) => {
    const derivation = known.get(drvPath) ?? readDerivation(nix.layout, drvPath);
    known.set(drvPath, derivation);
    return derivation;
  };
  const build = async (drvPath: string) => {
    const limits = { timeoutSeconds: 600, maxSilentSeconds: 600 };
    const derivation = await resolveInputs(await read(drvPath), read);
    const result = await store.buildDerivation(
      { drvPath, signal, ...limits, onLogLine: () => {} },
      derivation,
    );
    if (result.status !== 'built') throw new Error(`${drvPath}: ${result.status} ${result.message}`);
  };
  try {
    for (const drvPaths of stages) await queue.addAll(drvPaths.map((drvPath) => () => build(drvPath)));
  } finally {
    await store.close();
  }
}
