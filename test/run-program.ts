/**
 * `ringmaster` as people start it: a process with its own environment and a Nix store of its own,
 * seen through its output and its exit status. Also on a pseudo-terminal, by util-linux' `script`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { programCommand } from './support/program-command.ts';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const program = programCommand;

/** The Nix on PATH, and a newer one where the variable names its bin folder. */
const modernNix = process.env.RINGMASTER_TEST_MODERN_NIX;
export const nixes: readonly { readonly title: string; readonly bin: string | undefined }[] = [
  { title: 'the Nix of this machine', bin: undefined },
  ...(modernNix ? [{ title: `the Nix in ${modernNix}`, bin: modernNix }] : []),
];
if (!modernNix) console.info('RINGMASTER_TEST_MODERN_NIX is not set: run is tried with one Nix only');

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** Resolves when stdout so far contains the text. Rejects when the program ends without it. */
  shows(text: string): Promise<void>;
  readonly ended: Promise<Finished>;
}

/** A place where the program can run: folders, a Nix store and an environment. */
export interface Workshop {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Makes a checkout of these files. */
  checkout(files: Readonly<Record<string, string>>): Promise<string>;
  start(args: readonly string[], env?: Readonly<Record<string, string>>): Running;
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Finished>;
  /** On a terminal of that size. */
  startOnTerminal(args: readonly string[], columns: number, env?: Readonly<Record<string, string>>): Running;
  remove(): Promise<void>;
}

/** Not below /tmp: newer versions of Nix refuse stores in folders that everybody can write. */
export async function openWorkshop(nixBin?: string): Promise<Workshop> {
  const folder = await mkdtemp('/var/tmp/ringmaster-run-');
  for (const name of ['home', 'store']) await mkdir(join(folder, name));
  const path = process.env.PATH ?? '';
  const base = {
    PATH: nixBin === undefined ? path : `${nixBin}:${path}`,
    HOME: join(folder, 'home'),
    LANG: 'C.UTF-8',
    TERM: 'xterm-256color',
    NIX_REMOTE: join(folder, 'store'),
    NIX_CONFIG: 'substituters =',
    // The program is started from other folders; its pages are JSX.
    TSX_TSCONFIG_PATH: join(root, 'tsconfig.json'),
  };
  let checkouts = 0;
  const start = (command: readonly string[], env: Readonly<Record<string, string>>): Running => {
    const [file = '', ...args] = command;
    return watch(spawn(file, args, { cwd: folder, env: { ...base, ...env } }));
  };
  return {
    folder,
    env: base,
    async checkout(files) {
      checkouts += 1;
      const directory = join(folder, `checkout-${checkouts}`);
      await mkdir(directory);
      for (const [name, text] of Object.entries(files)) {
        await mkdir(join(directory, name, '..'), { recursive: true });
        await writeFile(join(directory, name), text);
      }
      return directory;
    },
    start: (args, env = {}) => start([...program, ...args], env),
    run: (args, env = {}) => start([...program, ...args], env).ended,
    startOnTerminal(args, columns, env = {}) {
      const words = [...program, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
      const command = `stty cols ${columns} rows 24; exec ${words}`;
      return start(['script', '--quiet', '--return', '--command', command, '/dev/null'], env);
    },
    async remove() {
      // Folders of a store are read-only, which stops everybody but root.
      await once(spawn('chmod', ['-R', 'u+w', folder], { stdio: 'ignore' }), 'close');
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function watch(child: ChildProcess): Running {
  let stdout = '';
  let stderr = '';
  const lookers = new Set<() => void>();
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    for (const look of lookers) look();
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = once(child, 'close').then(([status]): Finished => ({ status, stdout, stderr }));
  return {
    child,
    ended,
    async shows(text) {
      const seen = new Promise<boolean>((resolve) => {
        const look = () => {
          if (!stdout.includes(text)) return;
          lookers.delete(look);
          resolve(true);
        };
        lookers.add(look);
        look();
      });
      if (await Promise.race([seen, ended.then(() => stdout.includes(text))])) return;
      throw new Error(`'${text}' did not appear in:\n${stdout}\n${stderr}`);
    },
  };
}

const line = z.looseObject({ type: z.string() });

/** A line of `run --json`. Unknown fields are kept. */
export const jobLine = z.looseObject({
  type: z.literal('job'),
  path: z.array(z.string()),
  drvPath: z.string().regex(/^\/nix\/store\/.*\.drv$/),
  system: z.string(),
});
export const errorLine = z.looseObject({
  type: z.literal('error'),
  path: z.array(z.string()),
  message: z.string().min(1),
  file: z.string().nullable(),
  line: z.number().nullable(),
});
export const buildLine = z.looseObject({
  type: z.literal('build'),
  path: z.array(z.string()),
  drvPath: z.string(),
  status: z.enum(['succeeded', 'failed', 'dependency-failed', 'cached', 'timed-out', 'cancelled']),
  outputs: z.record(z.string(), z.string().nullable()),
});
export const summaryLine = z.looseObject({
  type: z.literal('summary'),
  evaluation: z.enum(['succeeded', 'failed']),
  jobs: z.number(),
  errors: z.number(),
  succeeded: z.number(),
  failed: z.number(),
});

/** Every line of stdout as JSON, by the contract. */
export function readEvents(stdout: string) {
  const lines = stdout
    .split('\n')
    .slice(0, -1)
    .map((text) => line.parse(JSON.parse(text)));
  const of = <T>(schema: z.ZodType<T>, type: string) =>
    lines.filter((one) => one.type === type).map((one) => schema.parse(one));
  return {
    lines,
    jobs: of(jobLine, 'job'),
    errors: of(errorLine, 'error'),
    builds: of(buildLine, 'build'),
    summary: summaryLine.parse(lines.at(-1)),
  };
}

/** Ids of processes with this word in their command line. */
export async function processesWith(word: string): Promise<readonly string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(
    ids.map(async (id) => ({ id, text: await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '') })),
  );
  return commands.filter(({ text }) => text.includes(word)).map(({ id }) => id);
}
