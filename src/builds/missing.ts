/**
 * What has to be built for some wishes: one question to the store over the whole graph, and each
 * missing `.drv` read once, in this process.
 */
import {
  type Derivation,
  derivationGraph,
  derivationName,
  type NixStore,
  requiredSystemFeatures,
  type StoreLayout,
} from '../nix/index.ts';
import type { WantedBuild } from './enqueue.ts';

/** A derivation that somebody wants. */
export interface BuildWish {
  readonly drvPath: string;
  /** False: only what it needs is to be built. */
  readonly itself: boolean;
}

/** What has to be done for some wishes. A wish that is in neither is there already. */
export interface BuildPlan {
  /** Derivations to build, inputs included. */
  readonly wanted: readonly WantedBuild[];
  /** Wished derivations that nobody can make, with the reason. */
  readonly impossible: ReadonlyMap<string, string>;
}

/** Works out what is missing. Rejects when the store cannot be asked. */
export async function planMissing(
  store: Pick<NixStore, 'queryMissing'>,
  layout: StoreLayout,
  wishes: readonly BuildWish[],
): Promise<BuildPlan> {
  const targets = [...new Set(wishes.map((wish) => wish.drvPath))];
  if (targets.length === 0) return { wanted: [], impossible: new Map() };
  const missing = await store.queryMissing(targets);
  const graph = await derivationGraph(layout, missing.willBuild, targets);
  const whole = wantedWhole(wishes, graph.dependencies);
  const wanted: WantedBuild[] = [];
  for (const [drvPath, derivation] of graph.derivations) {
    const inputs = graph.dependencies.get(drvPath) ?? [];
    if (whole.has(drvPath)) wanted.push(wantedBuild(drvPath, derivation, inputs, false));
  }
  for (const drvPath of new Set(wishes.filter((wish) => !wish.itself).map((wish) => wish.drvPath))) {
    const derivation = graph.derivations.get(drvPath);
    const inputs = graph.dependencies.get(drvPath) ?? [];
    if (derivation && inputs.length > 0) wanted.push(wantedBuild(drvPath, derivation, inputs, true));
  }
  const impossible = new Map(
    targets
      .filter((drvPath) => missing.unknown.has(drvPath))
      .map((drvPath) => [drvPath, `The derivation ${drvPath} is not in the store any more.`]),
  );
  return { wanted, impossible };
}

/** Wished for themselves, or needed by another. */
function wantedWhole(
  wishes: readonly BuildWish[],
  dependencies: ReadonlyMap<string, readonly string[]>,
): ReadonlySet<string> {
  return new Set([
    ...wishes.filter((wish) => wish.itself).map((wish) => wish.drvPath),
    ...[...dependencies.values()].flat(),
  ]);
}

function wantedBuild(
  drvPath: string,
  derivation: Derivation,
  inputs: readonly string[],
  inputsOnly: boolean,
): WantedBuild {
  return {
    drvPath,
    name: derivationName(drvPath),
    system: derivation.system,
    requiredFeatures: requiredSystemFeatures(derivation),
    outputs: Object.fromEntries([...derivation.outputs].map(([name, output]) => [name, output.path ?? null])),
    inputsOnly,
    inputs,
  };
}
