/**
 * For tests: the Nixes to test against, each with a new, empty store in a folder of its own.
 * The second one is what `scripts/install-modern-nix` makes.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { runProcess, silentLogger } from '../basics/index.ts';
import { detectNix } from './detect-nix.ts';
import type { LocalNix } from './local-nix.ts';
import { type LocalStoreOptions, openLocalStore } from './local-store.ts';
import type { NixStore } from './types.ts';

export interface NixUnderTest {
  /** For the names of tests. */
  readonly name: string;
  /** The environment to detect it in. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A real nix-eval-jobs that goes with it; tests use a double where there is none. */
  readonly nixEvalJobs?: string;
}

const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
const modernBin = process.env.RINGMASTER_TEST_MODERN_NIX ?? join(cache, 'ringmaster/nix-2.26.3/bin');
const modernFound = existsSync(join(modernBin, 'nix'));
if (!modernFound) {
  console.warn(
    `Not tested against a modern Nix: there is none in ${modernBin}. ` +
      'Run scripts/install-modern-nix, and set RINGMASTER_TEST_MODERN_NIX to what it prints.',
  );
}

const realJobs = (program: string | undefined) => (program ? { nixEvalJobs: program } : {});
const modernPath = `${modernBin}${delimiter}${process.env.PATH}`;

/** Every Nix there is. Tests that use it run once for each. */
export const nixesUnderTest: readonly NixUnderTest[] = [
  {
    name: "the machine's Nix",
    env: process.env,
    ...realJobs(process.env.RINGMASTER_TEST_NIX_EVAL_JOBS),
  },
  ...(modernFound
    ? [
        {
          name: 'a modern Nix',
          env: { ...process.env, PATH: modernPath },
          ...realJobs(process.env.RINGMASTER_TEST_MODERN_NIX_EVAL_JOBS),
        },
      ]
    : []),
];

export interface TestNix {
  readonly nix: LocalNix;
  readonly store: NixStore;
  readonly folder: string;
  /** Another connection pool to the same store. */
  openStore(options?: Partial<LocalStoreOptions>): NixStore;
  /** Evaluates to one or a list of derivations, and returns their paths. */
  instantiate(expression: string): Promise<string[]>;
  /** A derivation with `script` for busybox's sh, and more attributes as written in Nix. */
  derivation(script: string, attributes?: string): Promise<string>;
  run(program: keyof LocalNix['programs'], args: readonly string[]): Promise<string>;
  close(): Promise<void>;
}

/** A Nix with a new store that nothing is substituted into. */
export async function openTestNix(under: NixUnderTest): Promise<TestNix> {
  // Not below /tmp: newer Nix refuses stores in folders that everybody may write to.
  const folder = await mkdtemp('/var/tmp/ringmaster-test-nix-');
  const nix = await detectNix(under.env, {
    home: join(folder, 'home'),
    sandbox: 'required',
    store: join(folder, 'store'),
    config: 'substituters =',
  });
  const openStore = (options: Partial<LocalStoreOptions> = {}) =>
    openLocalStore({ nix, logger: silentLogger(), ...options });
  const store = openStore();
  const run: TestNix['run'] = async (program, args) => {
    const result = await runProcess(nix.programs[program], args, { env: nix.environment });
    if (result.exitCode !== 0) throw new Error(`${program}: ${result.stderr}`);
    return result.stdout;
  };
  const instantiate = async (expression: string) =>
    (await run('nix-instantiate', ['--expr', expression])).trim().split('\n');
  return {
    nix,
    store,
    folder,
    openStore,
    instantiate,
    derivation: async (script, attributes = '') => {
      const [drvPath] = await instantiate(`derivation {
        name = "test"; system = builtins.currentSystem; builder = "/bin/sh";
        args = [ "-c" ${nixString(script)} ]; ${attributes}
      }`);
      if (drvPath === undefined) throw new Error('nix-instantiate printed nothing');
      return drvPath;
    },
    run,
    close: async () => {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A string as it is written in Nix. */
export function nixString(text: string): string {
  return `"${text.replace(/["\\$]/g, '\\$&').replace(/\n/g, '\\n')}"`;
}
