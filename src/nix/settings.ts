/** What Nix's settings are in effect, and what has to be added for builds to work at all. */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { OperatorError, runProcess } from '../basics/index.ts';

const strings = z.array(z.string()).catch([]);

const settingsSchema = z
  .record(z.string(), z.object({ value: z.unknown() }).catch({ value: undefined }))
  .transform((all) => {
    const value = (name: string) => all[name]?.value;
    return {
      system: z.string().parse(value('system')),
      systemFeatures: strings.parse(value('system-features')),
      extraPlatforms: strings.parse(value('extra-platforms')),
      buildUsersGroup: z.string().catch('').parse(value('build-users-group')),
      sandbox: String(value('sandbox')),
      sandboxPaths: strings.parse(value('sandbox-paths')),
      cores: z.number().int().min(0).catch(0).parse(value('cores')),
      fallback: value('fallback') === true,
      builders: z.string().catch('').parse(value('builders')),
      substituters: strings.parse(value('substituters')),
    };
  });

/** The settings that matter here, as Nix itself understands its configuration. */
export type NixSettings = z.output<typeof settingsSchema>;

/** Asks Nix for its settings. `nix` is the program's path. */
export async function readSettings(nix: string, env: Readonly<Record<string, string>>): Promise<NixSettings> {
  // The command's name until Nix 2.19, and from then on.
  const names = [['show-config'], ['config', 'show']];
  let complaint = '';
  for (const name of names) {
    const args = ['--extra-experimental-features', 'nix-command', ...name, '--json'];
    const result = await runProcess(nix, args, { env, timeoutMs: 60_000 });
    const parsed = result.exitCode === 0 ? settingsSchema.safeParse(parseJson(result.stdout)) : undefined;
    if (parsed?.success) return parsed.data;
    complaint ||= result.stderr.trim() || 'its answer was not understood';
  }
  throw new OperatorError({
    code: 'nix-settings-unreadable',
    message: `Nix does not tell its settings: ${complaint}`,
    hint: 'Check nix.conf: run `nix show-config` (or `nix config show`) as the same user.',
    exitStatus: 3,
  });
}

export interface DefaultsInput {
  readonly settings: NixSettings;
  /** Builds run in a process of our own, as this user; otherwise a daemon decides on all this. */
  readonly direct: boolean;
  readonly userId: number;
  readonly groupExists: (name: string) => boolean;
  readonly fileExists: (path: string) => boolean;
}

/**
 * The lines that make Nix work where nobody has configured it, such as a fresh Debian. A setting
 * that is in effect and works is left alone, whoever made it.
 */
export function neededDefaults(input: DefaultsInput): string {
  const { settings, direct } = input;
  const lines = ['extra-experimental-features = nix-command flakes'];
  if (!direct) return `${lines[0]}\n`;
  // Nix's compiled-in group, which no package creates. Another name is the operator's own: it stays.
  if (input.userId === 0 && settings.buildUsersGroup === 'nixbld' && !input.groupExists('nixbld')) {
    lines.push('build-users-group =');
  }
  const shell = settings.sandboxPaths.find((entry) => entry === '/bin/sh' || entry.startsWith('/bin/sh='));
  const shellWorks = shell !== undefined && input.fileExists(sourceOf(shell));
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find(input.fileExists);
  if (!shellWorks && busybox !== undefined) {
    const others = settings.sandboxPaths.filter((entry) => entry !== shell);
    lines.push(`sandbox-paths = ${[...others, `/bin/sh=${busybox}`].join(' ')}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Lines that make sandboxed builds fail rather than run without their sandbox. */
export const strictSandbox = 'sandbox = true\nsandbox-fallback = false\n';

export function fileExists(path: string): boolean {
  return existsSync(path);
}

/** Whether a group of that name is in /etc/group, and has members to build as. */
export function groupExists(name: string): boolean {
  try {
    return readFileSync('/etc/group', 'utf8')
      .split('\n')
      .some((line) => line.startsWith(`${name}:`) && !line.endsWith(':'));
  } catch {
    return false;
  }
}

function sourceOf(sandboxPath: string): string {
  return sandboxPath.slice(sandboxPath.indexOf('=') + 1).replace(/\?$/, '');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
