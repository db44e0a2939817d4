import { readDerivation, type StoreLayout } from '../nix/index.ts';

/** What a job shows of its derivation and evaluation must not force. */
export interface DerivationFacts {
  readonly system: string;
  /** Output name -> store path; null for content-addressed outputs. */
  readonly outputs: Readonly<Record<string, string | null>>;
}

/** Reads the facts from the `.drv` file. Undefined when it is no derivation of this store. */
export async function readDerivationFacts(
  drvPath: string,
  layout: StoreLayout,
): Promise<DerivationFacts | undefined> {
  if (!drvPath.endsWith('.drv')) return undefined;
  try {
    const { system, outputs } = await readDerivation(layout, drvPath);
    const paths = [...outputs].map(([name, { path }]) => [name, path ?? null] as const);
    return { system, outputs: Object.fromEntries(paths) };
  } catch {
    // Any string can call itself a drvPath.
    return undefined;
  }
}
