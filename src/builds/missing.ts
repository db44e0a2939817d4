/**
 * What has to be built for some wishes: the derivation graph is walked from the top, a level at a
 * time. An output that is valid or can be substituted hides all that is below it. Each level costs
 * the store one question, or two, however wide it is; each derivation is looked at once.
 *
 * The rules are those of Nix's own `queryMissing`, which needs every `.drv` in the store and reads
 * all of them anew for each question. It is still asked where output paths are not known before
 * the build: floating content-addressed derivations, and what depends on them.
 */
import { type Derivation, derivationName, isFixedOutput, requiredSystemFeatures } from '../nix/index.ts';
import { createPruner, type Look, type Pruner } from './prune.ts';
import { createBuilderTexts } from './texts.ts';
import type { BuildLimits, PlannerOptions, WantedBuild } from './wanted.ts';

/** A derivation that somebody wants. */
export interface BuildWish {
  readonly drvPath: string;
  /** False: only what it needs is to be built. */
  readonly itself: boolean;
  /**
   * Its output paths, where they were read from the derivation before. If all of them are valid, the
   * `.drv` need not be there any more. Never what an evaluation only says: attributes can lie.
   */
  readonly outputs?: Outputs;
  readonly limits?: BuildLimits;
}

export type Outputs = Readonly<Record<string, string | null>>;

/** What has to be done for some wishes. A wish that is in neither is there already. */
export interface BuildPlan {
  /** Derivations to build, inputs included; those of earlier plans of the same planner left out. */
  readonly wanted: readonly WantedBuild[];
  /** Wished derivations that nobody can make, with the reason. */
  readonly impossible: ReadonlyMap<string, string>;
  /** Wished derivations that have to be built, whether by this plan or an earlier one. */
  readonly missing: ReadonlySet<string>;
  /** What the derivations say of the outputs of wished ones that were looked at. */
  readonly outputs: ReadonlyMap<string, Outputs>;
  /** Of wished derivations that have to be built, put together from all wishes for them. */
  readonly limits: ReadonlyMap<string, BuildLimits>;
}

/** Plans the wishes of one evaluation as they come. One plan at a time. */
export interface MissingPlanner {
  /** Rejects when the store cannot be asked or a derivation not be read. */
  plan(wishes: readonly BuildWish[]): Promise<BuildPlan>;
}

/** Works out what is missing for all of the wishes at once. */
export function planMissing(options: PlannerOptions, wishes: readonly BuildWish[]): Promise<BuildPlan> {
  return createMissingPlanner(options).plan(wishes);
}

export function createMissingPlanner(options: PlannerOptions): MissingPlanner {
  const pruner = createPruner(options);
  const texts = options.withTexts ? createBuilderTexts(options) : undefined;
  const emitted = { whole: new Set<string>(), inputsOnly: new Set<string>() };

  return {
    async plan(wishes) {
      const there = await alreadyThere(options, wishes);
      const open = wishes.filter((wish) => !there.has(wish.drvPath));
      const impossible = await unreadable(options, open);
      const possible = open.filter((wish) => !impossible.has(wish.drvPath));
      const looks = possible.map(({ drvPath, itself }): Look => ({ drvPath, outputs: 'all', itself }));
      const seen = await pruner.look(looks);
      const wanted: WantedBuild[] = [];
      for (const drvPath of seen.needed) {
        const derivation = seen.derivations.get(drvPath);
        if (!derivation || emitted.whole.has(drvPath)) continue;
        emitted.whole.add(drvPath);
        const build = wantedBuild(pruner, drvPath, derivation, false);
        const text = await texts?.textOf(drvPath, seen.derivations);
        wanted.push(text ? { ...build, derivation: text } : build);
      }
      for (const { drvPath, itself } of possible) {
        const derivation = seen.derivations.get(drvPath);
        if (itself || !derivation || !pruner.isMissing(drvPath) || emitted.inputsOnly.has(drvPath)) continue;
        const build = wantedBuild(pruner, drvPath, derivation, true);
        if (build.inputs.length === 0) continue;
        emitted.inputsOnly.add(drvPath);
        wanted.push(build);
      }
      return {
        wanted,
        impossible,
        missing: new Set(possible.map((wish) => wish.drvPath).filter(pruner.isMissing)),
        outputs: outputsOf(possible, seen.derivations),
        limits: limitsOf(possible.filter(({ drvPath, itself }) => itself && pruner.isMissing(drvPath))),
      };
    },
  };
}

/** Wishes that need not be looked at, because all their outputs are known and valid. */
async function alreadyThere(
  { store }: PlannerOptions,
  wishes: readonly BuildWish[],
): Promise<ReadonlySet<string>> {
  const known = wishes.flatMap(({ drvPath, outputs }) => {
    const paths = outputs ? Object.values(outputs).flatMap((path) => path ?? []) : [];
    const complete = outputs !== undefined && paths.length === Object.keys(outputs).length;
    return complete && paths.length > 0 ? [{ drvPath, paths }] : [];
  });
  if (known.length === 0) return new Set();
  const valid = await store.queryValidPaths([...new Set(known.flatMap(({ paths }) => paths))]);
  return new Set(
    known.filter(({ paths }) => paths.every((path) => valid.has(path))).map(({ drvPath }) => drvPath),
  );
}

/** Wished derivations that are neither in the store nor known as a text. */
async function unreadable(
  { store, derivations }: PlannerOptions,
  wishes: readonly BuildWish[],
): Promise<ReadonlyMap<string, string>> {
  const paths = new Set(wishes.map((wish) => wish.drvPath).filter((path) => !derivations?.has(path)));
  const valid = paths.size === 0 ? new Set() : await store.queryValidPaths([...paths]);
  const gone = [...paths].filter((path) => !valid.has(path));
  return new Map(gone.map((path) => [path, `The derivation ${path} is not in the store any more.`]));
}

function wantedBuild(
  pruner: Pruner,
  drvPath: string,
  derivation: Derivation,
  inputsOnly: boolean,
): WantedBuild {
  return {
    drvPath,
    name: derivationName(drvPath),
    system: derivation.system,
    requiredFeatures: requiredSystemFeatures(derivation),
    outputs: outputPaths(derivation),
    fixedOutput: isFixedOutput(derivation),
    inputsOnly,
    inputs: [...derivation.inputDerivations.keys()].filter(pruner.isNeeded),
  };
}

function outputPaths(derivation: Derivation): Outputs {
  return Object.fromEntries([...derivation.outputs].map(([name, { path }]) => [name, path ?? null]));
}

function outputsOf(
  wishes: readonly BuildWish[],
  derivations: ReadonlyMap<string, Derivation>,
): ReadonlyMap<string, Outputs> {
  const found = new Map<string, Outputs>();
  for (const { drvPath } of wishes) {
    const derivation = derivations.get(drvPath);
    if (derivation) found.set(drvPath, outputPaths(derivation));
  }
  return found;
}

/** Of several wishes for one derivation, the most that any of them asks for. */
function limitsOf(wishes: readonly BuildWish[]): ReadonlyMap<string, BuildLimits> {
  const merged = new Map<string, BuildLimits>();
  for (const { drvPath, limits } of wishes) {
    if (!limits) continue;
    const most: Record<keyof BuildLimits, number | undefined> = { ...noLimits, ...merged.get(drvPath) };
    for (const key of limitKeys) {
      const value = limits[key];
      if (value !== undefined) most[key] = Math.max(value, most[key] ?? value);
    }
    merged.set(drvPath, most);
  }
  return merged;
}

const limitKeys = ['timeoutSeconds', 'maxSilentSeconds', 'priority'] as const;
const noLimits = { timeoutSeconds: undefined, maxSilentSeconds: undefined, priority: undefined };
