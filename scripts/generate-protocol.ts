/**
 * Writes the TypeScript of proto/ into src/agent-protocol/gen, offline, with the programs of
 * node_modules. With `check` it writes nothing and throws when what is there is out of date.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { runProcess } from '../src/basics/index.ts';

const root = new URL('..', import.meta.url).pathname;
const target = join(root, 'src/agent-protocol/gen');

/** Lints the schema and generates from it, or compares. */
export async function generate(check: boolean): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'ringmaster-proto-'));
  try {
    await buf(['lint', 'proto']);
    const out = check ? scratch : root;
    await buf(['generate', 'proto', '--template', 'buf.gen.yaml', '--output', out]);
    if (check) await compare(join(scratch, 'src/agent-protocol/gen'));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function buf(args: readonly string[]): Promise<void> {
  const programs = join(root, 'node_modules/.bin');
  const result = await runProcess(join(programs, 'buf'), args, {
    cwd: root,
    env: { PATH: `${programs}${delimiter}${process.env.PATH ?? ''}`, HOME: tmpdir() },
  });
  if (result.exitCode !== 0) throw new Error(`buf ${args.join(' ')}:\n${result.stdout}${result.stderr}`);
}

async function generatedFiles(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true });
  return entries.filter((entry) => entry.endsWith('.ts')).sort();
}

async function compare(fresh: string): Promise<void> {
  const files = await generatedFiles(fresh);
  const same =
    files.join() === (await generatedFiles(target)).join() &&
    (await Promise.all(files.map((file) => equal(join(fresh, file), join(target, file))))).every(Boolean);
  if (!same) throw new Error("src/agent-protocol/gen does not fit proto/: run 'npm run generate'");
}

async function equal(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([readFile(one, 'utf8'), readFile(other, 'utf8')]);
  return a === b;
}
