import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Logger } from '../../basics/index.ts';
import { findOnPath, OperatorError, runProcess } from '../../basics/index.ts';
import {
  chooseAccess,
  createTextWriter,
  layoutOf,
  openTransport,
  type StoreLayout,
} from '../../nix/index.ts';
import type { Evaluate } from '../events.ts';
import { probeContainment } from './command-line.ts';
import { createEvaluate } from './evaluate.ts';
import { type Jail, type JailSetting, probeJail } from './jail/jail.ts';
import { createJailBuilder } from './jail/jail-room.ts';
import { createJobsWalk } from './nix-eval-jobs/nix-eval-jobs.ts';
import { type JobsProgram, probeJobsProgram } from './nix-eval-jobs/nix-eval-jobs-program.ts';
import { createOpenWalk, type Held } from './open-walk.ts';
import { operatorSecrets } from './operator-secrets.ts';
import { removeLeftOverFolders } from './private-folders.ts';
import { defaultAllowedUris, treesUnchecked } from './restrictions.ts';
import { openStoreGate } from './store-gate/store-gate.ts';
import { createTurns } from './turns.ts';
import { createWalker } from './walker/walker.ts';

/** The Nix to evaluate with. */
export interface EvaluatorNix {
  /** Environment for Nix children, with PATH. Of the rest only what Nix needs is passed on. */
  readonly env: Readonly<Record<string, string>>;
  /** `nix-instantiate`; default: from PATH. */
  readonly nixInstantiate?: string;
  /** Its version, where somebody has asked already. */
  readonly version?: string;
  /** `nix-eval-jobs`; default: from PATH, if it is there. */
  readonly nixEvalJobs?: string;
  /** Files and folders these programs need and that a look at where they lie does not find. */
  readonly readablePaths?: readonly string[];
  /** Where the store's files are. Default: as NIX_REMOTE in `env` tells. */
  readonly store?: StoreLayout;
}

export interface EvaluatorOptions {
  readonly nix: EvaluatorNix;
  readonly log: Logger;
  /** Default: nix-eval-jobs where it is installed and can do what is needed, else the built-in one. */
  readonly prefer?: 'nix-eval-jobs' | 'built-in';
  /** URI prefixes that evaluations may fetch from. */
  readonly allowedUris?: readonly string[];
  /** Systems whose outputs of flakes are jobs. Default: the one of this machine. */
  readonly systems?: readonly string[];
  /** Whether evaluations are locked in. Default: where that works; untrusted ones only so. */
  readonly jail?: JailSetting;
  /** What `probeJail` has found for it, where somebody has asked already. */
  readonly foundJail?: Promise<Jail>;
  readonly temporaryDirectory?: string;
  /** Worker processes of nix-eval-jobs. Default: a process a core, at most 4. */
  readonly workers?: number;
  /** Builds at the same time that evaluations wait for, of all evaluations of this evaluator. Default: 2. */
  readonly importBuilds?: number;
  /** Where nix-eval-jobs puts links that keep the .drv files it made from being collected. */
  readonly gcRootsDirectory?: string;
}

export interface Evaluator {
  /** `nix-eval-jobs 2.33.1`, `built-in (nix 2.8.0)`. */
  readonly name: string;
  readonly evaluate: Evaluate;
}

/** Finds out what is installed and makes the evaluator from it. Both kinds give the same answers. */
export async function createEvaluator(options: EvaluatorOptions): Promise<Evaluator> {
  const { nix, log } = options;
  const { env } = nix;
  const program = await nixInstantiate(nix);
  const setting = options.jail ?? 'auto';
  const temporaryDirectory = options.temporaryDirectory ?? tmpdir();
  const repl = findOnPath('nix', dirname(program));
  const [jail, version] = await Promise.all([
    findJail(setting, options.foundJail ?? probeJail(setting, env.PATH ?? '')),
    nix.version ?? nixVersion(program, env),
    removeLeftOverFolders(temporaryDirectory, log),
  ]);
  // A jail contains what is in it.
  const containment =
    jail.kind === 'none' ? await probeContainment(env.PATH ?? '') : ({ kind: 'process-group' } as const);
  const jobs = options.prefer === 'built-in' ? undefined : await jobsProgram(options, jail);
  const layout = nix.store ?? layoutOf(chooseAccess(env), '/nix/store');
  const programs = [program, repl, jobs?.program].filter((name) => name !== undefined);
  const { gcRootsDirectory } = options;
  const access = { access: chooseAccess(env), nixDaemon: join(dirname(program), 'nix-daemon'), env };
  const turns = createTurns(options.importBuilds ?? 2);
  const builtIn = (held: Held) =>
    createWalker({ ...held, env, log, program, ...(repl === undefined ? {} : { repl }) });
  const openWalk = createOpenWalk({
    allowedUris: options.allowedUris ?? defaultAllowedUris,
    quiet: setting === 'off',
    treesUnchecked: treesUnchecked(version),
    containment,
    layout,
    openGate: (wishes) =>
      openStoreGate({
        ...wishes,
        secrets: [...operatorSecrets(env), ...(wishes.fetchAccess ? [wishes.fetchAccess.token] : [])],
        turns,
        storeDir: layout.storeDir,
        openTransport: () => openTransport(access),
        log,
      }),
    builtIn,
    ...(jail.kind === 'none'
      ? { noJail: jail.reason }
      : {
          buildJail: await createJailBuilder({
            jail,
            programs,
            readablePaths: nix.readablePaths ?? [],
            env,
            layout,
            ...(gcRootsDirectory === undefined ? {} : { gcRootsDirectory }),
          }),
        }),
    ...(jobs && {
      jobs: {
        unrestricted: jobs.unrestricted,
        walk: (held: Held) =>
          createJobsWalk({
            ...held,
            env,
            log,
            jobs,
            workers: options.workers ?? Math.min(4, availableParallelism()),
            fallback: builtIn(held),
            ...(gcRootsDirectory === undefined ? {} : { gcRootsDirectory }),
          }),
      },
    }),
  });
  const name = jobs ? `nix-eval-jobs ${jobs.version}`.trim() : `built-in (nix ${version})`;
  const allowedUris = options.allowedUris ?? defaultAllowedUris;
  const { systems } = options;
  const flakes = { program, env, layout, allowedUris, ...(systems && { systems }) };
  const createWriter = () => createTextWriter(access);
  return {
    name,
    evaluate: createEvaluate({
      name,
      openWalk,
      flakes,
      log,
      store: layout,
      createWriter,
      temporaryDirectory,
    }),
  };
}

async function findJail(setting: JailSetting, probed: Promise<Jail>): Promise<Jail> {
  const jail = await probed;
  if (jail.kind === 'bubblewrap' || setting !== 'required') return jail;
  throw new OperatorError({
    code: 'jail-unavailable',
    message: `Evaluations cannot be locked in: ${jail.reason}.`,
    hint: 'Install bubblewrap, on a kernel with user namespaces or as root. To evaluate trusted code all the same, set `jail = "auto"` under `[evaluation]` in ringmaster.toml.',
    exitStatus: 3,
  });
}

/** The nix-eval-jobs to use, if there is one that can be used. */
async function jobsProgram(
  { nix, log, prefer }: EvaluatorOptions,
  jail: Jail,
): Promise<JobsProgram | undefined> {
  const program = nix.nixEvalJobs ?? findOnPath('nix-eval-jobs', nix.env.PATH ?? '');
  const probed = program === undefined ? 'it is not on PATH' : await probeJobsProgram(program, nix.env, log);
  // What does not restrict by itself is only let near code where the jail holds it.
  const unheld = typeof probed !== 'string' && jail.kind === 'none' ? probed.unrestricted : undefined;
  const found = unheld ?? probed;
  if (typeof found !== 'string') return found;
  if (prefer === 'nix-eval-jobs') {
    throw new OperatorError({
      code: 'nix-eval-jobs-unusable',
      message: `nix-eval-jobs cannot be used: ${found}.`,
      hint: 'Install nix-eval-jobs 2.28.1 or newer, or let the built-in evaluator be used.',
      exitStatus: 3,
    });
  }
  if (program !== undefined) log.warn({ program, reason: found }, 'nix-eval-jobs is not used');
  return undefined;
}

async function nixInstantiate(nix: EvaluatorNix): Promise<string> {
  const program = nix.nixInstantiate ?? findOnPath('nix-instantiate', nix.env.PATH ?? '');
  if (program !== undefined) return program;
  throw new OperatorError({
    code: 'nix-missing',
    message: `The program 'nix-instantiate' was not found.`,
    hint: 'Install Nix, or put it on PATH.',
    exitStatus: 3,
  });
}

async function nixVersion(program: string, env: Readonly<Record<string, string>>): Promise<string> {
  const { stdout } = await runProcess(program, ['--version'], { env: { ...env }, timeoutMs: 30_000 });
  return stdout.match(/\d+\.\d+\S*/)?.[0] ?? 'of unknown version';
}
