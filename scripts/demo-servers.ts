/** The two servers of a demo: started in the background, found again by the next demo. */
import { spawn } from 'node:child_process';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

export interface DemoServers {
  /** Address of the GitHub stand-in. */
  readonly github: string;
  /** Address of the server. */
  readonly ringmaster: string;
  readonly logFile: string;
  /** Calls the stand-in's entrance for scripts. */
  ask(method: 'GET' | 'POST', what: string, body?: unknown): Promise<unknown>;
}

const noteSchema = z.object({ processes: z.array(z.object({ pid: z.number(), started: z.string() })) });
const githubReady = z.object({ url: z.string(), environment: z.record(z.string(), z.string()) });
const startTimeoutMs = 120_000;

function places(root: string) {
  const directory = join(root, '.ringmaster', 'demo');
  return {
    directory,
    note: join(directory, 'processes.json'),
    log: join(directory, 'servers.log'),
    github: join(directory, 'github'),
    data: join(directory, 'data'),
  };
}

/** Starts both; what an earlier demo has built and shown is kept. */
export async function startServers(root: string): Promise<DemoServers> {
  const place = places(root);
  await mkdir(place.directory, { recursive: true });
  await rm(place.github, { recursive: true, force: true });
  await writeFile(place.log, '');
  const tsx = join(root, 'node_modules/tsx/dist/esm/index.mjs');
  const double = await start(root, place, {
    args: ['--import', `file://${tsx}`, 'test/github-double/main.ts', '--data-dir', place.github],
    env: {},
    ready: /^\{.*\}$/m,
  });
  const github = githubReady.parse(JSON.parse(double.line));
  const server = await start(root, place, {
    args: ['bin/ringmaster.js', 'serve', '--port', process.env.PORT ?? '0', '--data-dir', place.data],
    env: github.environment,
    ready: /^ringmaster listening on (\S+)$/m,
  });
  await writeFile(place.note, JSON.stringify({ processes: [double.process, server.process] }));
  const ringmaster = server.line.replace(/^ringmaster listening on /, '');
  const ask: DemoServers['ask'] = async (method, what, body) => {
    const answer = await fetch(`${github.url}/_double/${what}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`the GitHub stand-in refused ${what}: ${await answer.text()}`);
    return answer.json();
  };
  await ask('POST', 'webhook', { url: `${ringmaster}/api/github/webhooks` });
  return { github: github.url, ringmaster, logFile: place.log, ask };
}

/** Ends what an earlier demo left running; false when there was nothing. */
export async function stopServers(root: string): Promise<boolean> {
  const place = places(root);
  const text = await readFile(place.note, 'utf8').catch(() => undefined);
  if (text === undefined) return false;
  const { processes } = noteSchema.parse(JSON.parse(text));
  let any = false;
  // The server first: it drains, and tells GitHub so.
  for (const { pid, started } of [...processes].reverse()) {
    if ((await startOf(pid)) !== started) continue;
    any = true;
    process.kill(pid, 'SIGTERM');
    while ((await startOf(pid)) === started) await new Promise((done) => setTimeout(done, 50));
  }
  await rm(place.note);
  return any;
}

interface Start {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What it prints on stdout when it is ready. */
  readonly ready: RegExp;
}

async function start(root: string, place: ReturnType<typeof places>, options: Start) {
  const log = await open(place.log, 'a');
  const output = join(place.directory, `${options.args.at(-3) ?? 'server'}.out`.replaceAll('/', '-'));
  await writeFile(output, '');
  const stdout = await open(output, 'a');
  const child = spawn(process.execPath, [...options.args], {
    cwd: root,
    env: { ...process.env, ...options.env },
    detached: true,
    stdio: ['ignore', stdout.fd, log.fd],
  });
  child.unref();
  await Promise.all([log.close(), stdout.close()]);
  const began = Date.now();
  for (;;) {
    const line = (await readFile(output, 'utf8')).match(options.ready)?.[0];
    if (line !== undefined) {
      const pid = child.pid ?? 0;
      return { line, process: { pid, started: await startOf(pid) } };
    }
    if (child.exitCode !== null || Date.now() - began > startTimeoutMs) {
      throw new Error(`${options.args.join(' ')} did not start:\n${await readFile(place.log, 'utf8')}`);
    }
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** When a process was started, in the kernel's clock; empty when there is none. Tells pids apart. */
async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? '' : (fields[19] ?? '');
}
