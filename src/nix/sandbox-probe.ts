/** Finds out by a tiny build whether builds run in a sandbox. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { stripVTControlCharacters } from 'node:util';
import { runProcess } from '../basics/index.ts';
import { realPath, type StoreLayout } from './derivation.ts';
import { plainMessage } from './outcome.ts';

export type SandboxProbe =
  | { readonly sandboxed: true }
  /** Builds run without a sandbox, or not at all. `reason` are Nix's words, or ours. */
  | { readonly sandboxed: false; readonly reason: string };

export interface ProbeOptions {
  readonly nixBuild: string;
  readonly env: Readonly<Record<string, string>>;
  readonly system: string;
  readonly layout: StoreLayout;
}

/** Runs one build. It leaves one store path of a few bytes, which the next collection removes. */
export async function probeSandbox(options: ProbeOptions): Promise<SandboxProbe> {
  // In a sandbox the build's folder is always the same; outside it is a new one below TMPDIR.
  const expression = `derivation {
    name = "ringmaster-sandbox-probe";
    system = ${JSON.stringify(options.system)};
    builder = "/bin/sh";
    args = [ "-c" "echo $NIX_BUILD_TOP > $out" ];
    unique = ${JSON.stringify(randomUUID())};
  }`;
  const args = ['--no-out-link', '--option', 'substitute', 'false', '--expr', expression];
  const result = await runProcess(options.nixBuild, args, { env: options.env, timeoutMs: 120_000 });
  if (result.exitCode !== 0) {
    // Without a shell in the sandbox the build fails, but only after the sandbox was set up.
    if (/executing '\/bin\/sh': No such file/.test(result.stderr)) return { sandboxed: true };
    return { sandboxed: false, reason: complaint(result.stderr) || 'the build did not end' };
  }
  // The sandbox of macOS leaves the folder alone. That it is demanded there has to do.
  if (!options.system.endsWith('-linux')) return { sandboxed: true };
  const out = (result.stdout.trim().split('\n').at(-1) ?? '').trim();
  const top = await readFile(realPath(options.layout, out), 'utf8').catch(
    () => 'a folder that cannot be told',
  );
  return top.trim() === '/build'
    ? { sandboxed: true }
    : { sandboxed: false, reason: `a build ran in ${top.trim()}, outside of any sandbox` };
}

/** Nix's error without what it and its libraries say before. */
function complaint(stderr: string): string {
  const words = stripVTControlCharacters(stderr);
  return plainMessage(words.slice(Math.max(0, words.search(/^error:/m))));
}
