import { readFileSync } from 'node:fs';
import { parseDerivation, realPath, type StoreLayout } from '../../nix/index.ts';

/** What a job shows of its derivation and evaluation must not force. */
export interface DerivationFacts {
  readonly system: string;
  /** Output name -> store path; null for content-addressed outputs. */
  readonly outputs: Readonly<Record<string, string | null>>;
}

/**
 * Reads the facts from the `.drv` file. Undefined when it is no derivation of this store.
 *
 * Synchronously: the file has just been written, so this takes 30 µs, and the four round trips of an
 * asynchronous read took a third of the evaluation's time, from Nix, too, where cores are few.
 */
export function readDerivationFacts(drvPath: string, layout: StoreLayout): DerivationFacts | undefined {
  if (!drvPath.endsWith('.drv')) return undefined;
  try {
    const { system, outputs } = parseDerivation(readFileSync(realPath(layout, drvPath)));
    const paths = [...outputs].map(([name, { path }]) => [name, path ?? null] as const);
    return { system, outputs: Object.fromEntries(paths) };
  } catch {
    // Any string can call itself a drvPath.
    return undefined;
  }
}
