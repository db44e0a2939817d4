/**
 * The demo behind `scripts/demo`: starts a GitHub stand-in and a server, pushes a sample repository,
 * and tells what GitHub shows of it until everything has ended. Both servers stay, so that the
 * dashboard can be looked at.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { createStyle, type Style, type Tone } from '../src/cli/terminal/style.ts';
import { formatTable } from '../src/cli/terminal/table.ts';
import { type DemoServers, startServers, stopServers } from './demo-servers.ts';

const checkRun = z.object({
  name: z.string(),
  status: z.string(),
  conclusion: z.string().nullable(),
  details_url: z.string().nullable(),
  output: z.object({ title: z.string().nullable() }),
});
type CheckRun = z.infer<typeof checkRun>;

const lookAgainMs = 150;
const patienceMs = 10 * 60_000;

const style = createStyle({ env: process.env, isTerminal: process.stdout.isTTY === true, colour: true });
const [argument] = process.argv.slice(2);
const root = resolve(import.meta.dirname, '..');

if (argument === '--stop') {
  say((await stopServers(root)) ? 'The demo has been stopped.' : 'No demo is running.');
} else if (argument?.startsWith('-')) {
  say('usage: scripts/demo [DIRECTORY | --stop]');
  process.exitCode = 2;
} else {
  process.exitCode = await demo(resolve(argument ?? join(root, 'examples/hello')));
}

async function demo(directory: string): Promise<number> {
  const name = `demo/${basename(directory).replace(/[^\w.-]/g, '-')}`;
  await stopServers(root);
  say('Starting a GitHub stand-in and Ringmaster on this machine …');
  const servers = await startServers(root);
  say(`Pushing ${directory} to ${name} …\n`);
  const sha = await push(servers, name, directory);
  const runs = await follow(servers, sha);
  say('');
  for (const line of table(runs)) say(line);
  const gate = runs.find((run) => run.name === 'ringmaster');
  say('');
  say(`Dashboard:         ${style.paint('accent', `${servers.ringmaster}/${name}/commit/${sha}`)}`);
  say(`GitHub stand-in:   ${servers.github}/${name}/commit/${sha}`);
  say('Both keep running until:  npm run demo -- --stop');
  return gate?.conclusion === 'success' ? 0 : 1;
}

/** Pushes a copy with a new line in its greeting, so that there is something to build each time. */
async function push(servers: DemoServers, name: string, directory: string): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'ringmaster-demo-'));
  try {
    await cp(directory, copy, { recursive: true });
    const greeting = join(copy, 'greeting.txt');
    const text = await readFile(greeting, 'utf8').catch(() => undefined);
    if (text !== undefined) await writeFile(greeting, `${text}Pushed at ${new Date().toISOString()}.\n`);
    await servers.ask('POST', 'repositories', { name });
    const pushed = await servers.ask('POST', 'push', {
      repo: name,
      directory: copy,
      message: 'Say hello',
    });
    return z.object({ sha: z.string() }).parse(pushed).sha;
  } finally {
    await rm(copy, { recursive: true });
  }
}

/** Prints each change of what GitHub shows until all of it has ended. */
async function follow(servers: DemoServers, sha: string): Promise<readonly CheckRun[]> {
  const began = Date.now();
  const seen = new Map<string, string>();
  for (;;) {
    const runs = z.array(checkRun).parse(await servers.ask('GET', `check-runs?sha=${sha}`));
    for (const run of runs) {
      const state = `${run.conclusion ?? run.status} ${run.output.title ?? ''}`;
      if (seen.get(run.name) === state) continue;
      seen.set(run.name, state);
      const elapsed = `${((Date.now() - began) / 1000).toFixed(1)} s`.padStart(7);
      const { shape, tone } = look(run);
      say(
        `${style.paint('muted', elapsed)}  ${style.paint(tone, shape)} ${run.name}: ${run.output.title ?? run.status}`,
      );
    }
    const gate = runs.find((run) => run.name === 'ringmaster');
    if (gate?.status === 'completed' && runs.every((run) => run.status === 'completed')) return runs;
    if (Date.now() - began > patienceMs) throw new Error(`no verdict in ten minutes; see ${servers.logFile}`);
    await new Promise((done) => setTimeout(done, lookAgainMs));
  }
}

function table(runs: readonly CheckRun[]): readonly string[] {
  const prefix = 'ringmaster / ';
  const attributes = runs.filter((run) => run.name.startsWith(prefix) && run.name !== `${prefix}evaluation`);
  const rows = attributes
    .map((run) => {
      const { shape, tone } = look(run);
      return [
        { text: shape, tone },
        run.name.slice(prefix.length),
        { text: run.conclusion ?? run.status, tone },
        run.output.title ?? '',
      ];
    })
    .sort((a, b) => String(a[1]).localeCompare(String(b[1])));
  return formatTable(rows, style, ['', 'attribute', 'check', 'result']);
}

function look(run: CheckRun): { readonly shape: string; readonly tone: Tone } {
  const shapes: Style['shapes'] = style.shapes;
  if (run.status !== 'completed') return { shape: shapes.working, tone: 'accent' };
  return run.conclusion === 'success'
    ? { shape: shapes.good, tone: 'success' }
    : { shape: shapes.bad, tone: 'danger' };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
