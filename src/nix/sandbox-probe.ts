/** Finds out by a tiny build whether builds run in a sandbox. */
import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { formatDerivation } from './aterm.ts';
import { realPath, type StoreLayout } from './derivation.ts';
import { storePath, textStorePath } from './store-path.ts';
import type { TextWriter } from './text-writer.ts';
import type { NixStore } from './types.ts';

export type SandboxProbe =
  | { readonly sandboxed: true }
  /** Builds run without a sandbox, or not at all. `reason` are Nix's words, or ours. */
  | { readonly sandboxed: false; readonly reason: string };

/** The store that is to build, and a way to write into it. */
export interface ProbedStore {
  readonly store: Pick<NixStore, 'realise'>;
  readonly texts: Pick<TextWriter, 'addTexts'>;
}

export interface ProbeOptions extends ProbedStore {
  readonly system: string;
  readonly layout: StoreLayout;
  /** Ends the build. */
  readonly signal: AbortSignal;
}

/**
 * Runs one build. It leaves two store paths of a few bytes, which the next collection removes. Rejects
 * when the store cannot be reached.
 */
export async function probeSandbox(options: ProbeOptions): Promise<SandboxProbe> {
  const { drvPath, out, content } = probeDerivation(options);
  await options.texts.addTexts([{ path: drvPath, content, references: [] }]);
  const lines: string[] = [];
  const { status, message } = await options.store.realise({
    drvPath,
    signal: options.signal,
    timeoutSeconds: 120,
    maxSilentSeconds: 0,
    onLogLine: (line) => void lines.push(line.toString()),
  });
  if (status !== 'built') {
    const said = [...lines, message].join('\n');
    // Without a shell in the sandbox the build fails, but only after the sandbox was set up.
    if (/executing '\/bin\/sh': No such file/.test(said)) return { sandboxed: true };
    return { sandboxed: false, reason: message || 'the build did not end' };
  }
  // The sandbox of macOS leaves the folder alone. That it is demanded there has to do.
  if (!options.system.endsWith('-linux')) return { sandboxed: true };
  const top = await readFile(realPath(options.layout, out), 'utf8').catch(
    () => 'a folder that cannot be told',
  );
  return top.trim() === '/build'
    ? { sandboxed: true }
    : { sandboxed: false, reason: `a build ran in ${top.trim()}, outside of any sandbox` };
}

/** Made here, since an evaluator takes longer to start than the build takes. */
function probeDerivation({ system, layout: { storeDir } }: ProbeOptions) {
  const name = 'ringmaster-sandbox-probe';
  const withOutput = (out: string | undefined) =>
    formatDerivation({
      outputs: new Map([['out', { path: out, hashAlgorithm: undefined, hash: undefined }]]),
      inputDerivations: new Map(),
      inputSources: [],
      system,
      builder: '/bin/sh',
      // In a sandbox the build's folder is always the same; outside it is a new one below TMPDIR.
      arguments: ['-c', 'echo $NIX_BUILD_TOP > $out'],
      environment: new Map([
        // Nobody else has it.
        ['allowSubstitutes', ''],
        ['builder', '/bin/sh'],
        ['name', name],
        ['out', out ?? ''],
        ['preferLocalBuild', '1'],
        ['system', system],
        ['unique', unique],
      ]),
    });
  const unique = randomUUID();
  const out = storePath(storeDir, 'output:out', sha256(withOutput(undefined)), name);
  const content = withOutput(out);
  return { out, content, drvPath: textStorePath(storeDir, `${name}.drv`, sha256(content), []) };
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
