/** Finds the Nix of this machine, what it can build, and what it needs to be told. */
import { makeFolder, messageOf, silentLogger } from '../basics/index.ts';
import { chooseAccess, isTrusted, layoutOf, ownStore } from './access.ts';
import { chooseBuildHook } from './build-hook.ts';
import { type Environment, nixEnvironment } from './environment.ts';
import type { DetectOptions, LocalNix } from './local-nix.ts';
import { openLocalStore } from './local-store.ts';
import { findPrograms, readConstants } from './nix-programs.ts';
import { sandboxTurnedOff, sandboxUnavailable } from './sandbox-errors.ts';
import { type ProbedStore, probeSandbox, type SandboxProbe } from './sandbox-probe.ts';
import { fileExists, groupExists, neededDefaults, readSettings, strictSandbox } from './settings.ts';
import { createTextWriter } from './text-writer.ts';

/** Finds Nix on PATH and how to use it. Throws OperatorErrors that say what is missing. */
export async function detectNix(env: Environment, options: DetectOptions): Promise<LocalNix> {
  const { nix, proveSandbox } = await findNix(env, { ...options, sandbox: async () => options.sandbox });
  await proveSandbox();
  return nix;
}

/** A Nix to evaluate with. Builds have to wait for the proof. */
export interface FoundNix {
  readonly nix: LocalNix;
  /**
   * Builds something, through the connections that are there if any are given. Rejects with an OperatorError
   * where a sandbox is required and does not work; where none is required, there is nothing to prove. Until
   * then, Nix itself builds nothing without a sandbox, but it would not say why.
   */
  proveSandbox(through?: ProbedStore): Promise<void>;
}

/** As `detectNix`, for those who have more to do before the first build than a proof takes. */
export async function findNix(
  env: Environment,
  options: Omit<DetectOptions, 'sandbox'> & {
    /** Asked when Nix is at work already. */
    readonly sandbox: () => Promise<DetectOptions['sandbox']>;
    /** Ends a proof that is under way, which then fails. */
    readonly signal?: AbortSignal;
  },
): Promise<FoundNix> {
  const programs = findPrograms(env.PATH ?? '');
  await makeFolder(options.home, 0o700);
  const own = options.store === undefined ? ownStore(env, options.home) : undefined;
  const store = options.store ?? own;
  const environmentWith = (defaults: string) =>
    nixEnvironment({
      // Every Nix process, not only ours, is to use that store.
      inherited: store === undefined ? env : { ...env, NIX_REMOTE: store },
      home: options.home,
      defaults,
      ...(options.config !== undefined && { config: options.config }),
      ...(options.tmpDir !== undefined && { tmpDir: options.tmpDir }),
    });
  const bare = environmentWith('');
  const storeAccess = chooseAccess(env, store);
  const itself = storeAccess.kind === 'child' && isTrusted(storeAccess);
  const constants = readConstants(programs, bare, { open: itself });
  const asked = readSettings(programs.nix, bare);
  // One that is too old is told of that, not of what it does not understand.
  await Promise.allSettled([constants, asked]);
  const { version, storeDir, opened } = await constants;
  const settings = await asked;
  const layout = layoutOf(storeAccess, storeDir);
  const direct = storeAccess.kind === 'child';
  const userId = process.getuid?.() ?? 0;
  const defaults = neededDefaults({ settings, direct, userId, groupExists, fileExists });
  const strict = environmentWith(defaults + strictSandbox);
  const turnedOff = direct && settings.sandbox !== 'true';
  const signal = options.signal ?? new AbortController().signal;
  const nixWith = async (environment: Record<string, string>, sandbox: boolean): Promise<LocalNix> => ({
    version,
    programs,
    system: settings.system,
    systemFeatures: settings.systemFeatures,
    extraPlatforms: settings.extraPlatforms,
    storeDir,
    access: storeAccess,
    layout,
    ownStore: own,
    sandbox,
    cores: settings.cores,
    fallback: settings.fallback,
    substituters: settings.substituters,
    buildHook: await chooseBuildHook({ version, builders: settings.builders, home: options.home }),
    environment,
  });

  const inSandbox = await nixWith(strict, true);
  if ((await options.sandbox()) === 'required') {
    // nix.conf was overruled (the one of Debian's daemon turns the sandbox off); NIX_CONFIG was not.
    const inForce = turnedOff ? (await readSettings(programs.nix, strict)).sandbox : 'true';
    if (inForce !== 'true') throw sandboxTurnedOff(inForce);
    const prove = async (through?: ProbedStore) => {
      const found = await probe(inSandbox, signal, through);
      if (!found.sandboxed) throw sandboxUnavailable(storeAccess, found.reason);
    };
    const given = [env.NIX_CONFIG, options.config].join('\n');
    // The Nix that builds is a child of ours that opens the store itself, and heeds our settings.
    if (opened && !mayOverrule(given)) return { nix: inSandbox, proveSandbox: prove };
    await prove();
    return { nix: inSandbox, proveSandbox: async () => {} };
  }
  if (!turnedOff && (await probe(inSandbox, signal)).sandboxed) {
    return { nix: inSandbox, proveSandbox: async () => {} };
  }
  const open = environmentWith(`${defaults}sandbox = ${turnedOff ? settings.sandbox : 'false'}\n`);
  return { nix: await nixWith(open, false), proveSandbox: async () => {} };
}

/** Whether lines that hold over ours may let Nix build without a sandbox where that does not work. */
function mayOverrule(config: string): boolean {
  return /^\s*(?:sandbox-fallback\s*=\s*true|!?include\s)/m.test(config);
}

/** Without connections to use, it opens some of its own. */
async function probe(nix: LocalNix, signal: AbortSignal, through?: ProbedStore): Promise<SandboxProbe> {
  const { system, layout } = nix;
  if (through) return tellTrouble(probeSandbox({ ...through, system, layout, signal }));
  const { access, programs, environment: env } = nix;
  // Nothing is looked for elsewhere, so nobody need wait for whether it could be.
  const store = openLocalStore({ nix: { ...nix, substituters: [] }, logger: silentLogger() });
  const texts = createTextWriter({ access, nixDaemon: programs['nix-daemon'], env });
  try {
    return await tellTrouble(probeSandbox({ store, texts, system, layout, signal }));
  } finally {
    await texts.close();
    await store.close();
  }
}

function tellTrouble(probed: Promise<SandboxProbe>): Promise<SandboxProbe> {
  return probed.catch((error: unknown) => ({ sandboxed: false, reason: messageOf(error) }));
}
