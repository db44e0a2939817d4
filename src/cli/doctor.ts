/** `ringmaster doctor`: what this machine has of what is needed, and what to do about the rest. */
import type { Config } from '../basics/config/index.ts';
import { exitStatus } from '../basics/index.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { broken, type CheckResult, type CheckStatus, good } from './doctor/check.ts';
import { checkGithub } from './doctor/github.ts';
import { checkGit, checkJail, checkNix, checkNode } from './doctor/programs.ts';
import { checkDatabase, checkDataDirectory, checkPort } from './doctor/server.ts';
import { nixHome } from './run/nix-home.ts';
import type { Style } from './terminal/style.ts';
import { formatTable } from './terminal/table.ts';
import { count, plainLine } from './terminal/text.ts';

/** Looks at everything, whatever fails; exit status 3 when something needed is missing. */
export async function doctor(context: CommandContext, options: { readonly json: boolean }): Promise<number> {
  const checks = await runChecks(context);
  const bad = checks.filter((check) => check.status === 'missing').length;
  const { stdout, style } = context;
  if (options.json) stdout.write(`${JSON.stringify({ ok: bad === 0, checks }, null, 2)}\n`);
  else {
    for (const line of tableOf(checks, style)) stdout.write(`${line}\n`);
    const verdict =
      bad === 0 ? 'Nothing that is needed is missing.' : `${count(bad, 'thing')} missing or broken.`;
    stdout.write(`\n${style.paint(bad === 0 ? 'success' : 'danger', verdict)}\n`);
  }
  return bad === 0 ? exitStatus.ok : exitStatus.configuration;
}

async function runChecks(context: CommandContext): Promise<readonly CheckResult[]> {
  let config: Config | undefined;
  let configuration: CheckResult;
  try {
    const loaded = await readConfiguration(context);
    config = loaded.config;
    configuration = good('configuration', loaded.file ?? 'no file, defaults and environment');
  } catch (error) {
    configuration = broken('configuration', error);
  }
  const nix = { home: await nixHome(context.env), sandbox: config?.builds.sandbox ?? ('required' as const) };
  // Without a configuration, what depends on it is not judged by guesses.
  const ofServer =
    config === undefined
      ? []
      : [
          checkDataDirectory(config),
          checkDatabase(context, config),
          checkGithub(config, context.log),
          checkPort(config),
        ];
  const results = await Promise.all([
    checkNix(context, nix),
    checkGit(context),
    checkJail(context, config?.evaluation.jail ?? 'auto'),
    ...ofServer,
  ]);
  return [checkNode(), configuration, ...results.flat()];
}

function tableOf(checks: readonly CheckResult[], style: Style): readonly string[] {
  const shapes = {
    good: style.shapes.good,
    attention: style.shapes.attention,
    missing: style.shapes.bad,
  } as const;
  const tones = { good: 'success', attention: 'attention', missing: 'danger' } as const;
  const words = { good: 'ok', attention: 'look', missing: 'missing' } as const satisfies Record<
    CheckStatus,
    string
  >;
  const lines = formatTable(
    checks.map(({ name, status, found }) => [
      { text: `${shapes[status]} ${words[status]}`, tone: tones[status] },
      name,
      plainLine(found),
    ]),
    style,
  );
  return lines.flatMap((line, at) => {
    const advice = checks[at]?.advice ?? '';
    return advice === '' ? [line] : [line, style.paint('muted', `    ${plainLine(advice)}`)];
  });
}
