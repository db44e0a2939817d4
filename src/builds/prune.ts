/**
 * Which derivations must be built so that some outputs are valid: from the top, a level at a time.
 * A derivation must be built when one of its outputs that is needed is neither valid nor
 * substitutable; then the outputs it needs of its inputs are looked at in turn.
 */
import { type Derivation, isSubstitutionAllowed, readDerivation } from '../nix/index.ts';
import type { PlannerOptions } from './wanted.ts';

/** Outputs of a derivation that are needed. */
export interface Look {
  readonly drvPath: string;
  readonly outputs: 'all' | readonly string[];
  /** False: if outputs are missing, only the inputs are needed. */
  readonly itself: boolean;
}

export interface Seen {
  /** Those that must be built, as far as this look came upon them; inputs come after what needs them. */
  readonly needed: ReadonlySet<string>;
  /** What was read for it. */
  readonly derivations: ReadonlyMap<string, Derivation>;
}

/** Remembers what it has found, so that each derivation is looked at once. One look at a time. */
export interface Pruner {
  look(looks: readonly Look[]): Promise<Seen>;
  /** Whether outputs that somebody needs, or looked at, are neither valid nor to be fetched. */
  isMissing(drvPath: string): boolean;
  /** Whether it must be built: it is missing, and needed itself. */
  isNeeded(drvPath: string): boolean;
}

/** Files that are read at the same time. */
const parallelReads = 32;

const missing = 1;
const needed = 2;
const inputsLookedAt = 4;

export function createPruner(options: PlannerOptions): Pruner {
  const outputs = createOutputMemory(options.store);
  /** Derivation -> what is known of it, as bits: there are tens of thousands, in each evaluation. */
  const known = new Map<string, number>();
  const is = (drvPath: string, what: number) => ((known.get(drvPath) ?? 0) & what) !== 0;
  const set = (drvPath: string, what: number) => void known.set(drvPath, (known.get(drvPath) ?? 0) | what);

  async function look(looks: readonly Look[]): Promise<Seen> {
    const derivations = new Map<string, Derivation>();
    const found = new Set<string>();
    let willBuild: ReadonlySet<string> | undefined;
    for (let level = merge(looks); level.size > 0; ) {
      await readAll(options, level.keys(), derivations);
      const items = [...level.values()].map((item) => ({ ...item, ...pathsOf(item, derivations) }));
      if (items.some((item) => item.floating)) willBuild ??= await askStore(options, looks);
      else if (!willBuild) await outputs.learn(items.filter((item) => !is(item.drvPath, missing)));
      const next: Look[] = [];
      for (const { drvPath, itself, paths, derivation } of items) {
        const lacks = willBuild ? willBuild.has(drvPath) : !paths.every(outputs.isHad);
        if (!lacks && !is(drvPath, missing)) continue;
        if (itself && !is(drvPath, needed)) found.add(drvPath);
        const lookedAt = is(drvPath, inputsLookedAt);
        set(drvPath, missing | inputsLookedAt | (itself ? needed : 0));
        if (lookedAt) continue;
        for (const [input, names] of derivation.inputDerivations) {
          if (!is(input, needed)) next.push({ drvPath: input, outputs: names, itself: true });
        }
      }
      level = merge(next);
    }
    return { needed: found, derivations };
  }

  return {
    look,
    isMissing: (drvPath) => is(drvPath, missing),
    isNeeded: (drvPath) => is(drvPath, needed),
  };
}

interface Paths {
  readonly derivation: Derivation;
  /** Those that are known. */
  readonly paths: readonly string[];
  /** Some path is known only after the build. */
  readonly floating: boolean;
}

function pathsOf({ drvPath, outputs }: Look, derivations: ReadonlyMap<string, Derivation>): Paths {
  const derivation = derivations.get(drvPath);
  if (!derivation) throw new Error(`${drvPath} was not read`);
  const names = outputs === 'all' ? [...derivation.outputs.keys()] : outputs;
  const paths = names.map((name) => derivation.outputs.get(name)?.path);
  return { derivation, paths: paths.flatMap((path) => path ?? []), floating: paths.includes(undefined) };
}

/** Which output paths are valid or can be fetched. */
function createOutputMemory(store: PlannerOptions['store']) {
  const had = new Map<string, boolean>();
  return {
    isHad: (path: string) => had.get(path) === true,
    async learn(items: readonly Paths[]): Promise<void> {
      const unknown = new Set<string>();
      const fetchable = new Set<string>();
      for (const { derivation, paths } of items) {
        const mayFetch = isSubstitutionAllowed(derivation);
        for (const path of paths) {
          if (had.has(path)) continue;
          unknown.add(path);
          if (mayFetch) fetchable.add(path);
        }
      }
      if (unknown.size === 0) return;
      const valid = await store.queryValidPaths([...unknown]);
      const asked = [...unknown].filter((path) => !valid.has(path) && fetchable.has(path));
      const found = asked.length === 0 ? new Set() : await store.querySubstitutable(asked);
      for (const path of unknown) had.set(path, valid.has(path) || found.has(path));
    },
  };
}

/** What Nix says has to be built for these; it knows the paths of floating outputs that were built before. */
async function askStore(
  { store, derivations }: PlannerOptions,
  looks: readonly Look[],
): Promise<ReadonlySet<string>> {
  const drvPaths = [...new Set(looks.map(({ drvPath }) => drvPath))];
  await derivations?.write(drvPaths);
  const { willBuild } = await store.queryMissing(drvPaths);
  return willBuild;
}

/** Reads those that are not read yet. */
async function readAll(
  { layout, derivations: texts }: PlannerOptions,
  drvPaths: Iterable<string>,
  into: Map<string, Derivation>,
): Promise<void> {
  const files: string[] = [];
  for (const drvPath of drvPaths) {
    if (into.has(drvPath)) continue;
    const derivation = texts?.read(drvPath);
    if (derivation) into.set(drvPath, derivation);
    else files.push(drvPath);
  }
  const readers = Array.from({ length: Math.min(parallelReads, files.length) }, async () => {
    for (let drvPath = files.pop(); drvPath !== undefined; drvPath = files.pop()) {
      into.set(drvPath, await readDerivation(layout, drvPath));
    }
  });
  await Promise.all(readers);
}

function merge(looks: readonly Look[]): ReadonlyMap<string, Look> {
  const merged = new Map<string, Look>();
  for (const look of looks) {
    const other = merged.get(look.drvPath);
    merged.set(look.drvPath, other ? both(look, other) : look);
  }
  return merged;
}

function both(one: Look, other: Look): Look {
  const all = one.outputs === 'all' || other.outputs === 'all';
  const outputs = all ? ('all' as const) : [...new Set([...one.outputs, ...other.outputs])];
  return { drvPath: one.drvPath, outputs, itself: one.itself || other.itself };
}
