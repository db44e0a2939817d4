/**
 * A flake in the store, as a reference that pure evaluation takes: locked by the hash of its files.
 * Nix neither looks for a repository around it nor can write a lock file to it.
 */
import { dirname, join } from 'node:path';
import { OperatorError, runProcess } from '../../../basics/index.ts';
import { realPath, type StoreLayout } from '../../../nix/index.ts';
import { commitFiles } from './flake-files.ts';

export interface FlakeSourceOptions {
  /** The `nix-instantiate` that evaluates; its neighbours put the files into the store. */
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  readonly layout: StoreLayout;
}

export interface FlakeSource {
  /** `path:/nix/store/…-source?narHash=…` */
  readonly reference: string;
  readonly storePath: string;
  /** Where the files of it are. */
  readonly realPath: string;
}

/** Adds the commit's files to the store, through the evaluation's gate, which keeps them while it is open. */
export async function addFlakeSource(
  options: FlakeSourceOptions,
  request: {
    readonly checkout: string;
    readonly directory: string;
    readonly rev: string;
    /** The store as Nix is to address it. */
    readonly store: string;
    readonly signal: AbortSignal;
  },
): Promise<FlakeSource> {
  const { checkout, directory, signal } = request;
  const env = { ...options.env, NIX_REMOTE: request.store };
  const run = async (program: string, args: readonly string[]): Promise<string> => {
    const file = join(dirname(options.program), program);
    const { exitCode, stdout, stderr } = await runProcess(file, args, { env, signal, cwd: directory });
    if (exitCode === 0) return stdout.trim();
    throw new OperatorError({
      code: 'flake-source',
      message: `The files of the flake cannot be put into the Nix store: ${stderr.trim()}`,
    });
  };
  const files = await commitFiles(checkout, directory, env, signal);
  const storePath = await run('nix-store', ['--add-fixed', '--recursive', 'sha256', files]);
  const hash = (await run('nix-store', ['--query', '--hash', storePath])).replace('sha256:', '');
  const base16 = await run('nix-hash', ['--type', 'sha256', '--to-base16', hash]);
  const narHash = `sha256-${Buffer.from(base16, 'hex').toString('base64')}`;
  const query = new URLSearchParams({ narHash, rev: request.rev });
  return {
    reference: `path:${storePath}?${query}`,
    storePath,
    realPath: realPath(options.layout, storePath),
  };
}
