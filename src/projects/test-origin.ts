/** For tests: a repository to fetch from, checkouts of it, and servers that stand in its place. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runProcess, silentLogger } from '../basics/index.ts';
import { type CheckoutRequest, type Checkouts, type CheckoutsOptions, createCheckouts } from './checkout.ts';
import type { Checkout, GitSource, Project } from './types.ts';

export const environment = { PATH: process.env.PATH ?? '' };
export const gitEnvironment = {
  ...environment,
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@example.org',
  GIT_COMMITTER_NAME: 'Ada',
  GIT_COMMITTER_EMAIL: 'ada@example.org',
};

export const project: Project = {
  id: 7,
  githubRepositoryId: 70,
  installationId: 1,
  owner: 'acme',
  name: 'rockets',
  defaultBranch: 'main',
  private: false,
  enabled: true,
};

export interface TestCheckouts extends Checkouts {
  /** A checkout that must come about; it is released after the test. */
  ready(request: Partial<CheckoutRequest> & { readonly sha: string }): Promise<Checkout>;
  /** How often access was opened and closed. */
  readonly opened: { count: number; closed: number };
}

export interface TestOrigin {
  /** A directory for whatever the tests need. */
  readonly base: string;
  /** The repository's working tree. */
  readonly path: string;
  /** Runs git in it; `input` is what git reads. */
  git(args: readonly string[], input?: string | Buffer): Promise<string>;
  /** Writes files, commits everything and returns the commit's hash. */
  commit(files: Readonly<Record<string, string>>, message?: string): Promise<string>;
  freshDataDir(): Promise<string>;
  checkoutsOf(
    dataDir: string,
    source?: GitSource,
    more?: Pick<CheckoutsOptions, 'limitBytes' | 'limitEntries'>,
  ): TestCheckouts;
  /** Starts a server and returns its address; it is closed after the test. */
  listen(handler: RequestListener): Promise<string>;
  afterTest(): Promise<void>;
  remove(): Promise<void>;
}

export async function createTestOrigin(): Promise<TestOrigin> {
  const base = await mkdtemp(join(tmpdir(), 'ringmaster-checkout-'));
  const path = join(base, 'origin');
  const held: Checkout[] = [];
  const servers: Server[] = [];
  await mkdir(path);

  async function git(args: readonly string[], input: string | Buffer = ''): Promise<string> {
    const result = await runProcess('git', args, { cwd: path, env: gitEnvironment, input });
    if (result.exitCode !== 0) throw new Error(result.stderr);
    return result.stdout.trim();
  }
  await git(['init', '--quiet', '--initial-branch=main']);

  async function commit(files: Readonly<Record<string, string>>, message = 'Change things'): Promise<string> {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(path, name)), { recursive: true });
      await writeFile(join(path, name), content);
    }
    await git(['add', '--all']);
    await git(['commit', '--quiet', '--allow-empty', '--message', message]);
    return git(['rev-parse', 'HEAD']);
  }

  function checkoutsOf(
    dataDir: string,
    source: GitSource = { url: `file://${path}`, credentials: undefined },
    more: Pick<CheckoutsOptions, 'limitBytes' | 'limitEntries'> = {},
  ): TestCheckouts {
    const opened = { count: 0, closed: 0 };
    const close = async () => {
      opened.closed += 1;
    };
    const checkouts = createCheckouts({
      dataDir,
      environment,
      log: silentLogger(),
      ...more,
      openAccess: async () => {
        opened.count += 1;
        return { kind: 'ready', source, close };
      },
    });
    return {
      ...checkouts,
      opened,
      async ready(request) {
        const result = await checkouts.checkout({ project, gitRef: 'refs/heads/main', ...request });
        if (result.kind !== 'ready') throw new Error(`${result.kind}: ${result.reason}`);
        held.push(result.checkout);
        return result.checkout;
      },
    };
  }

  return {
    base,
    path,
    git,
    commit,
    checkoutsOf,
    freshDataDir: () => mkdtemp(join(base, 'data-')),
    async listen(handler) {
      const server = createServer(handler);
      servers.push(server);
      await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('no port');
      return `http://127.0.0.1:${address.port}`;
    },
    async afterTest() {
      await Promise.all(held.splice(0).map((checkout) => checkout.release()));
      for (const server of servers.splice(0)) {
        server.closeAllConnections();
        await new Promise((closed) => server.close(closed));
      }
    },
    remove: () => rm(base, { recursive: true, force: true }),
  };
}
