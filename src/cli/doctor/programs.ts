/** Checks of Node and of the programs that are started. */
import { exitStatus, OperatorError, runProcess } from '../../basics/index.ts';
import { createEvaluator, type JailSetting, probeJail } from '../../evaluations/index.ts';
import { type DetectOptions, detectNix, type LocalNix } from '../../nix/index.ts';
import type { CommandContext } from '../context.ts';
import { attention, broken, type CheckResult, good, missing } from './check.ts';
import { checkStoreSpace } from './server.ts';

/** Node's oldest version that works (package.json, engines). */
const oldestNode = [20, 19] as const;

export function checkNode(version = process.versions.node): CheckResult {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const enough = major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1]);
  return enough
    ? good('node', version)
    : missing('node', version, `Install Node ${oldestNode.join('.')} or newer, for example from nodejs.org.`);
}

/** Nix, its sandbox and the evaluator. The sandbox is tried with a build. */
export async function checkNix(
  context: CommandContext,
  options: DetectOptions,
): Promise<readonly CheckResult[]> {
  let nix: LocalNix;
  try {
    nix = await detectNix(context.env, options);
  } catch (error) {
    const ofSandbox = error instanceof OperatorError && error.code.startsWith('sandbox');
    return [broken(ofSandbox ? 'sandbox' : 'nix', error), await checkStoreSpace('/nix/store')];
  }
  const sandbox = nix.sandbox
    ? good('sandbox', 'a build ran in it')
    : attention(
        'sandbox',
        'off',
        'Builds can see and change this machine. Set builds.sandbox to "required".',
      );
  return [
    good('nix', `${nix.version}, ${nix.system}, ${describeStore(nix)}`),
    sandbox,
    await checkEvaluator(context, nix),
    await checkStoreSpace(nix.layout.realStoreDir),
  ];
}

function describeStore({ storeDir, ownStore, access }: LocalNix): string {
  if (ownStore !== undefined) return `a store of your own in ${ownStore} (there is no daemon)`;
  return access.kind === 'socket' ? `daemon at ${access.path}` : `store ${access.store ?? storeDir}`;
}

async function checkEvaluator(context: CommandContext, nix: LocalNix): Promise<CheckResult> {
  try {
    const { name } = await createEvaluator({ nix: { env: nix.environment }, log: context.log });
    if (name.startsWith('nix-eval-jobs')) return good('evaluator', name);
    return attention(
      'evaluator',
      name,
      'It does all that is needed. nix-eval-jobs, once installed, is used by itself and is quicker on large repositories.',
    );
  } catch (error) {
    return broken('evaluator', error);
  }
}

export async function checkGit(context: CommandContext): Promise<CheckResult> {
  const found = await versionOf(context, 'git');
  return found === undefined
    ? missing('git', 'not found', 'Install it: apt-get install git.')
    : good('git', found);
}

/** Whether evaluations can be locked in. A jail is built to find out. */
export async function checkJail(context: CommandContext, setting: JailSetting): Promise<CheckResult> {
  if (setting === 'off') {
    return attention(
      'bubblewrap',
      'off',
      'Only Nix\'s own restrictions hold the code that is evaluated. Set evaluation.jail to "auto" or "required".',
    );
  }
  const jail = await probeJail(setting, context.env.PATH ?? '');
  if (jail.kind === 'bubblewrap') {
    const version = await versionOf(context, jail.bwrap);
    return good('bubblewrap', `${version ?? 'unknown version'}, evaluations are locked in with it`);
  }
  const advice =
    'Install bubblewrap (apt-get install bubblewrap), on a kernel that gives this user namespaces, or run as root.';
  return setting === 'required'
    ? missing('bubblewrap', jail.reason, `${advice} evaluation.jail is "required", so nothing is evaluated.`)
    : attention(
        'bubblewrap',
        jail.reason,
        `${advice} Until then only trusted code is evaluated, held by Nix's own restrictions alone.`,
      );
}

/** The version a program prints; undefined when it cannot be run. */
async function versionOf(context: CommandContext, program: string): Promise<string | undefined> {
  const env = { PATH: context.env.PATH ?? '' };
  try {
    const { stdout, exitCode } = await runProcess(program, ['--version'], { env, timeoutMs: 30_000 });
    return exitCode === exitStatus.ok ? (/\d+(\.\d+)+/.exec(stdout)?.[0] ?? 'unknown version') : undefined;
  } catch {
    return undefined;
  }
}
