/** Which Ringmaster this is. */
import { readFileSync } from 'node:fs';

export interface Version {
  readonly version: string;
  /** Full commit id, where the program runs from a checkout or its package names one. */
  readonly commit: string | undefined;
}

/** The same two levels up from src/cli and from dist/cli. */
const root = new URL('../../', import.meta.url);

/** Reads it from the package, not from git: this must work without git and stay quick. */
export function readVersion(): Version {
  const manifest: unknown = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
  return {
    version: textField(manifest, 'version') ?? 'unknown',
    commit: textField(manifest, 'gitHead') ?? checkedOutCommit(),
  };
}

/** `ringmaster 1.2.3 (commit 0123456, node v20.19.0)`. */
export function versionLine({ version, commit }: Version): string {
  const from = commit === undefined ? '' : `commit ${commit.slice(0, 12)}, `;
  return `ringmaster ${version} (${from}node ${process.version})`;
}

function textField(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const field = new Map<string, unknown>(Object.entries(value)).get(name);
  return typeof field === 'string' ? field : undefined;
}

function checkedOutCommit(): string | undefined {
  const head = readText('.git/HEAD')?.trim();
  if (head === undefined || !head.startsWith('ref: ')) return head;
  const ref = head.slice('ref: '.length);
  const loose = readText(`.git/${ref}`)?.trim();
  if (loose !== undefined) return loose;
  const packed = readText('.git/packed-refs')?.split('\n') ?? [];
  return packed.find((line) => line.endsWith(` ${ref}`))?.split(' ')[0];
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(new URL(path, root), 'utf8');
  } catch {
    return undefined;
  }
}
