/** The Nix of this machine, as it was found. */
import type { StoreAccess } from './access.ts';
import type { StoreLayout } from './derivation.ts';
import type { NixPrograms } from './nix-programs.ts';

/** A Nix that can be used, and how. Finding out takes processes and a build: do it once and keep it. */
export interface LocalNix {
  readonly version: string;
  readonly programs: NixPrograms;
  readonly system: string;
  readonly systemFeatures: readonly string[];
  readonly extraPlatforms: readonly string[];
  readonly storeDir: string;
  readonly access: StoreAccess;
  readonly layout: StoreLayout;
  /** The folder of a store that only this user has, taken because the machine's could not be used. */
  readonly ownStore: string | undefined;
  /** Whether builds run in a sandbox. */
  readonly sandbox: boolean;
  readonly cores: number;
  readonly fallback: boolean;
  /** As configured. */
  readonly substituters: readonly string[];
  /** What Nix's setting `build-hook` is to be for builds of ours; undefined: as it is. */
  readonly buildHook: string | undefined;
  /** The environment for all Nix processes; it also says which store. Holds no secrets but what the operator put into NIX_CONFIG. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface DetectOptions {
  /** A folder of this program's own, kept between runs; becomes HOME of Nix. Made when missing. */
  readonly home: string;
  /** `required`: no sandbox is an error. `off`: builds run with one where it works and without elsewhere. */
  readonly sandbox: 'required' | 'off';
  /**
   * A folder with a store of its own, or a store address. Default: the store of the machine, or one
   * of this user's own where that cannot be used.
   */
  readonly store?: string;
  /** Lines for nix.conf from this program's own configuration. They hold over everything. */
  readonly config?: string;
  readonly tmpDir?: string;
}
