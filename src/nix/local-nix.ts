/** The Nix of this machine: where it is, what it can build, and what it needs to be told. */
import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { OperatorError, runProcess } from '../basics/index.ts';
import { chooseAccess, layoutOf, ownStore, type StoreAccess } from './access.ts';
import { chooseBuildHook } from './build-hook.ts';
import type { StoreLayout } from './derivation.ts';
import { type Environment, nixEnvironment } from './environment.ts';
import { probeSandbox } from './sandbox-probe.ts';
import { fileExists, groupExists, neededDefaults, readSettings, strictSandbox } from './settings.ts';

const programNames = ['nix', 'nix-build', 'nix-daemon', 'nix-instantiate', 'nix-store'] as const;

/** Absolute paths. */
export type NixPrograms = Readonly<Record<(typeof programNames)[number], string>>;

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

/** Finds Nix on PATH and how to use it. Throws OperatorErrors that say what is missing. */
export async function detectNix(env: Environment, options: DetectOptions): Promise<LocalNix> {
  const programs = await findPrograms(env.PATH ?? '');
  await mkdir(options.home, { recursive: true, mode: 0o700 });
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
  const [version, settings, storeDir] = await Promise.all([
    readVersion(programs.nix, bare),
    readSettings(programs.nix, bare),
    readStoreDir(programs['nix-instantiate'], bare),
  ]);
  const storeAccess = chooseAccess(env, store);
  const layout = layoutOf(storeAccess, storeDir);
  const direct = storeAccess.kind === 'child';
  const userId = process.getuid?.() ?? 0;
  const defaults = neededDefaults({ settings, direct, userId, groupExists, fileExists });
  const probe = (environment: Record<string, string>) =>
    probeSandbox({
      nixBuild: programs['nix-build'],
      env: environment,
      system: settings.system,
      layout,
    });

  let environment = environmentWith(defaults + strictSandbox);
  let sandboxed = { ...(await probe(environment)) };
  const turnedOff = direct && settings.sandbox !== 'true';
  if (options.sandbox === 'required') {
    // nix.conf was overruled (the one of Debian's daemon turns the sandbox off); NIX_CONFIG was not.
    const inForce = turnedOff ? (await readSettings(programs.nix, environment)).sandbox : 'true';
    if (inForce !== 'true') throw sandboxTurnedOff(inForce);
    if (!sandboxed.sandboxed) throw sandboxUnavailable(storeAccess, sandboxed.reason);
  } else if (turnedOff || !sandboxed.sandboxed) {
    environment = environmentWith(`${defaults}sandbox = ${turnedOff ? settings.sandbox : 'false'}\n`);
    sandboxed = { sandboxed: false, reason: 'not required' };
  }
  return {
    version,
    programs,
    system: settings.system,
    systemFeatures: settings.systemFeatures,
    extraPlatforms: settings.extraPlatforms,
    storeDir,
    access: storeAccess,
    layout,
    ownStore: own,
    sandbox: sandboxed.sandboxed,
    cores: settings.cores,
    fallback: settings.fallback,
    substituters: settings.substituters,
    buildHook: await chooseBuildHook({ version, builders: settings.builders, home: options.home }),
    environment,
  };
}

async function findPrograms(path: string): Promise<NixPrograms> {
  for (const folder of path.split(delimiter).filter((entry) => entry.startsWith('/'))) {
    const file = (name: string) => join(folder, name);
    const present = await Promise.all(programNames.map((name) => executable(file(name))));
    if (!present.every(Boolean)) continue;
    return {
      nix: file('nix'),
      'nix-build': file('nix-build'),
      'nix-daemon': file('nix-daemon'),
      'nix-instantiate': file('nix-instantiate'),
      'nix-store': file('nix-store'),
    };
  }
  throw new OperatorError({
    code: 'nix-missing',
    message: `Nix was not found: no folder on PATH has all of ${programNames.join(', ')}.`,
    hint:
      'On Debian and Ubuntu: apt-get install nix-bin busybox-static. ' +
      'Elsewhere: https://nixos.org/download. Then start again with its bin folder on PATH.',
    exitStatus: 3,
  });
}

async function executable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** `nix (Nix) 2.8.0`; forks have other words in front. */
async function readVersion(nix: string, env: Record<string, string>): Promise<string> {
  const { stdout } = await runProcess(nix, ['--version'], { env, timeoutMs: 60_000 });
  const found = /(\d+)\.(\d+)\S*\s*$/.exec(stdout);
  if (found === null) throw tooOld(stdout.trim() || 'unknown');
  const [version, major, minor] = found;
  if (Number(major) < 2 || (Number(major) === 2 && Number(minor) < 8)) throw tooOld(version.trim());
  return version.trim();
}

async function readStoreDir(nixInstantiate: string, env: Record<string, string>): Promise<string> {
  const args = ['--store', 'dummy://', '--eval', '--expr', 'builtins.storeDir'];
  const { stdout } = await runProcess(nixInstantiate, args, { env, timeoutMs: 60_000 });
  return /^"(\/.+)"\s*$/.exec(stdout)?.[1] ?? '/nix/store';
}

function tooOld(version: string): OperatorError {
  return new OperatorError({
    code: 'nix-too-old',
    message: `Nix ${version} is too old: 2.8 or newer is needed.`,
    hint: 'Upgrade it, for example from https://nixos.org/download.',
    exitStatus: 3,
  });
}

const howToAllow =
  'To let builds run without a sandbox, which lets them see and change this machine, ' +
  'set `sandbox = "off"` under `[builds]` in ringmaster.toml.';

function sandboxTurnedOff(value: string): OperatorError {
  return new OperatorError({
    code: 'sandbox-off',
    message: `NIX_CONFIG has \`sandbox = ${value}\`, but builds are to run in a sandbox.`,
    hint: `Remove that line from NIX_CONFIG. ${howToAllow}`,
    exitStatus: 3,
  });
}

/** A build failed, or ran without a sandbox. The first may have nothing to do with sandboxes. */
function sandboxUnavailable(access: StoreAccess, reason: string): OperatorError {
  const unreachable = /cannot connect to (?:socket|daemon)[^\n]*|opening a connection to[^\n]*/i.exec(
    reason,
  )?.[0];
  if (unreachable !== undefined) {
    return new OperatorError({
      code: 'nix-daemon-unreachable',
      message: `The Nix daemon does not answer: ${unreachable}`,
      hint:
        'Start it (systemctl start nix-daemon). Or set NIX_REMOTE to a folder: a store of your own is made there, ' +
        'and no daemon is needed.',
      exitStatus: 3,
    });
  }
  const advice =
    access.kind === 'socket'
      ? 'The Nix daemon decides on that: set `sandbox = true` in /etc/nix/nix.conf and restart it. ' +
        'Or set NIX_REMOTE to a folder: a store of your own is made there, and no daemon is needed.'
      : process.getuid?.() === 0
        ? "Nix's sandbox needs a kernel with namespaces, and in a container the right to use them " +
          '(docker run --privileged).'
        : "Without root or a Nix daemon, Nix's sandbox needs user namespaces, which this kernel or container does not allow " +
          '(sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns). ' +
          'Allow them, run as root, or install Nix with its daemon: https://nixos.org/download.';
  return new OperatorError({
    code: 'sandbox-unavailable',
    message: `Builds cannot run in a sandbox: ${reason}`,
    hint: `${advice} ${howToAllow}`,
    exitStatus: 3,
  });
}
