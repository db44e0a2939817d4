import { readFileSync } from 'node:fs';
import {
  type Derivation,
  type PendingDerivations,
  parseDerivation,
  realPath,
  type StoreLayout,
} from '../../nix/index.ts';

/** What a job shows of its derivation and evaluation must not force. */
export interface DerivationFacts {
  readonly system: string;
  /** Output name -> store path; null for content-addressed outputs. */
  readonly outputs: Readonly<Record<string, string | null>>;
}

/**
 * Reads the facts from the derivation, in memory or as the `.drv` file of an earlier evaluation.
 * Undefined when it is no derivation of this store.
 *
 * Synchronously: a file that was just looked at takes 30 µs, and the four round trips of an
 * asynchronous read took a third of the evaluation's time, from Nix, too, where cores are few.
 */
export function readDerivationFacts(
  drvPath: string,
  layout: StoreLayout,
  derivations: PendingDerivations,
): DerivationFacts | undefined {
  if (!drvPath.endsWith('.drv')) return undefined;
  try {
    const { system, outputs } = derivations.read(drvPath) ?? readFile(layout, drvPath);
    const paths = [...outputs].map(([name, { path }]) => [name, path ?? null] as const);
    return { system, outputs: Object.fromEntries(paths) };
  } catch {
    // Any string can call itself a drvPath.
    return undefined;
  }
}

function readFile(layout: StoreLayout, drvPath: string): Derivation {
  return parseDerivation(readFileSync(realPath(layout, drvPath)));
}
