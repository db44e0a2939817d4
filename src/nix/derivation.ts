/** Derivations: reading them from a store, and what their parts mean. */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import PQueue from 'p-queue';
import { z } from 'zod';
import { messageOf, OperatorError } from '../basics/index.ts';
import { formatDerivation, parseDerivation } from './aterm.ts';
import type { Derivation, ResolvedDerivation } from './types.ts';

export { DerivationSyntaxError, formatDerivation, parseDerivation } from './aterm.ts';

/** Where the files of a store are: for a store in a folder of its own, not where its paths say. */
export interface StoreLayout {
  /** `/nix/store`: what all its paths begin with. */
  readonly storeDir: string;
  /** `/nix/store`, or `DIR/nix/store` for a store opened with `--store DIR`. */
  readonly realStoreDir: string;
}

/** Files that are read at the same time. More does not help: the page cache has most of them. */
const parallelReads = 16;

/** The file of a store path. Throws for a path that is not of this store. */
export function realPath(layout: StoreLayout, storePath: string): string {
  const name = basename(storePath);
  if (storePath !== `${layout.storeDir}/${name}` || name === '' || name === '.' || name === '..') {
    throw new OperatorError({
      code: 'not-a-store-path',
      message: `'${storePath}' is not a path in the store ${layout.storeDir}.`,
    });
  }
  return join(layout.realStoreDir, name);
}

/** Reads and parses a `.drv` file. */
export async function readDerivation(layout: StoreLayout, drvPath: string): Promise<Derivation> {
  const file = realPath(layout, drvPath);
  try {
    return parseDerivation(await readFile(file));
  } catch (cause) {
    throw new OperatorError({
      code: 'derivation-unreadable',
      message: `The derivation ${drvPath} cannot be read: ${messageOf(cause)}`,
      hint: 'If it was garbage-collected, evaluate again; `nix-store --verify` finds a damaged store.',
      cause,
    });
  }
}

/** The text of a derivation for whoever builds it: what it needs of others as paths. */
export function resolvedText({ derivation, inputs }: ResolvedDerivation): Buffer {
  return formatDerivation({ ...derivation, inputDerivations: new Map(), inputSources: inputs });
}

/** `resolvedText` backwards. Throws a DerivationSyntaxError. */
export function resolvedDerivation(text: Buffer): ResolvedDerivation {
  const derivation = parseDerivation(text);
  return { derivation, inputs: derivation.inputSources };
}

/** `hello-1.0` of `/nix/store/<hash>-hello-1.0.drv`. */
export function derivationName(drvPath: string): string {
  return basename(drvPath, '.drv').slice(33);
}

const structuredAttributes = z.looseObject({
  requiredSystemFeatures: z.array(z.string()).optional(),
  allowSubstitutes: z.boolean().optional(),
});

/** The system features a builder must have, `requiredSystemFeatures` of the derivation. */
export function requiredSystemFeatures(derivation: Derivation): readonly string[] {
  const json = derivation.environment.get('__json');
  if (json !== undefined) {
    const parsed = structuredAttributes.safeParse(parseJson(json));
    return parsed.success ? (parsed.data.requiredSystemFeatures ?? []) : [];
  }
  return (derivation.environment.get('requiredSystemFeatures') ?? '').split(/\s+/).filter(Boolean);
}

/** Whether outputs may be fetched instead of built: the derivation's `allowSubstitutes`. */
export function isSubstitutionAllowed(derivation: Derivation): boolean {
  const json = derivation.environment.get('__json');
  if (json !== undefined) {
    const parsed = structuredAttributes.safeParse(parseJson(json));
    return parsed.data?.allowSubstitutes ?? true;
  }
  return (derivation.environment.get('allowSubstitutes') ?? '1') === '1';
}

/** Whether the output's hash is known beforehand, so that the build may use the network. */
export function isFixedOutput(derivation: Derivation): boolean {
  const out = derivation.outputs.get('out');
  return derivation.outputs.size === 1 && out?.hash !== undefined && out.hash !== 'impure';
}

/** The derivations that must be built, and which of them wait for which. */
export interface DerivationGraph {
  readonly derivations: ReadonlyMap<string, Derivation>;
  /** Derivation -> those it needs first, as far as they must be built themselves. */
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
}

/**
 * The graph among the derivations that must be built for the targets. `willBuild` is what the store
 * says is missing; what is not in it is valid or can be substituted, and is not looked at. Each
 * `.drv` is read once. A target that need not be built is not in the graph.
 */
export async function derivationGraph(
  layout: StoreLayout,
  willBuild: ReadonlySet<string>,
  targets: Iterable<string>,
): Promise<DerivationGraph> {
  const derivations = new Map<string, Derivation>();
  const dependencies = new Map<string, readonly string[]>();
  const seen = new Set<string>();
  const queue = new PQueue({ concurrency: parallelReads });
  let failure: unknown;
  const visit = (drvPath: string) => {
    if (seen.has(drvPath) || !willBuild.has(drvPath)) return;
    seen.add(drvPath);
    queue
      .add(() => read(drvPath))
      .catch((error: unknown) => {
        failure ??= error;
        queue.clear();
      });
  };
  const read = async (drvPath: string) => {
    const derivation = await readDerivation(layout, drvPath);
    const needed = [...derivation.inputDerivations.keys()].filter((input) => willBuild.has(input));
    derivations.set(drvPath, derivation);
    dependencies.set(drvPath, needed);
    for (const input of needed) visit(input);
  };
  for (const target of targets) visit(target);
  await queue.onIdle();
  if (failure !== undefined) throw failure;
  return { derivations, dependencies };
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
