/** Puts the double together. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAdmin } from './admin.ts';
import { appRoutes } from './app-routes.ts';
import { createBrowser } from './browser.ts';
import { type Changes, createChanges } from './changes.ts';
import { checkRunJson, checkRunRoutes } from './check-runs.ts';
import { checkSuiteRoutes } from './check-suites.ts';
import { commentFacts, commentRoutes } from './comments.ts';
import { commitRoutes } from './commits.ts';
import { describeState } from './describe.ts';
import { createEmitter } from './emit.ts';
import type { DoubleOptions, GitHubDouble } from './face.ts';
import { createFaults } from './faults.ts';
import { createGestures } from './gestures.ts';
import { createJournal } from './journal.ts';
import { createRateLimiter } from './limits.ts';
import { createPages } from './pages.ts';
import { createPullRequests, type PullRequests } from './pull-requests.ts';
import { createPushes } from './pushes.ts';
import { createRecorded } from './recorded.ts';
import { appBot } from './render.ts';
import { commitRoute, repositoryRoutes } from './repository-routes.ts';
import { type Route, route } from './router.ts';
import { createListener } from './server.ts';
import { createRepository, createWorld, needInstallation } from './setup.ts';
import { latestStatuses, statusRoutes } from './statuses.ts';
import { createWebhooks, hookRoutes } from './webhooks.ts';
import { type CheckRun, type CommitStatus, ensureUser, needRepository } from './world.ts';

/** Starts a GitHub on 127.0.0.1. */
export async function startGitHubDouble(options: DoubleOptions = {}): Promise<GitHubDouble> {
  const ownDirectory = options.dataDir === undefined;
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'github-double-')));
  await mkdir(join(dataDir, 'repositories'), { recursive: true });
  const world = createWorld(options, dataDir);
  const privateKeyPath = join(dataDir, 'app.private-key.pem');
  await writeFile(privateKeyPath, world.app.privateKey, { mode: 0o600 });

  const journal = createJournal(world.clock);
  const faults = createFaults();
  const limiter = createRateLimiter(world.clock);
  const changes: Changes = createChanges(() => describeState(world, journal, webhooks));
  const webhooks = createWebhooks(world, () => world.app.webhookSecret, changes.notify);
  webhooks.url = options.webhookUrl;
  const recorded = createRecorded(() => world.url);
  const emitter = createEmitter(world, recorded, webhooks);
  const browser = createBrowser(world);
  const pulls: PullRequests = createPullRequests(world, emitter, () => pushes);
  const pushes = createPushes(world, emitter, pulls.branchMoved);
  const gestures = createGestures(world, emitter, recorded, webhooks, pushes);
  const onCheckRun = (run: CheckRun, change: 'created' | 'completed' | 'updated') => {
    if (options.echoCheckRuns !== true || change === 'updated') return;
    const facts = { check_run: checkRunJson(world, run) };
    void emitter.emit(run.repository, 'check_run', change, facts, appBot(world));
  };
  const routes: readonly Route[] = [
    ...appRoutes(world),
    ...browser.routes,
    ...repositoryRoutes(world),
    ...checkRunRoutes(world, onCheckRun),
    ...checkSuiteRoutes(world),
    ...statusRoutes(world),
    // An App that is subscribed hears its own comments too.
    ...commentRoutes(world, (repository, comment) => {
      const facts = commentFacts(world, repository, comment);
      void emitter.emit(repository, 'issue_comment', 'created', facts, comment.user);
    }),
    ...commitRoutes(world, (repository) => {
      void pushes.announce(`${repository.owner.login}/${repository.name}`, appBot(world).login);
    }),
    ...hookRoutes(world, webhooks),
    commitRoute(world),
    route('anybody', 'GET', '/rate_limit', ({ call }) => {
      const core = limiter.state(call.auth.installationId ?? 0);
      return { status: 200, body: { resources: { core }, rate: core } };
    }),
  ];
  const pages = createPages(world);
  const listener = createListener(
    {
      world,
      routes,
      journal,
      faults,
      limiter,
      changes,
      people: browser.tokens,
      onPushed: (repository) => pushes.announce(`${repository.owner.login}/${repository.name}`),
      visit: browser.visit,
      other: async (request) =>
        request.url.pathname.startsWith('/_double/') ? admin(request) : pages(request.url.pathname),
    },
    options.port ?? 0,
  );
  const port = await listener.open();
  world.url = `http://127.0.0.1:${port}`;

  const allRuns = (sha: string) =>
    [...world.repositories.values()].flatMap(({ runs }) => runs.filter(({ headSha }) => headSha === sha));
  const { fork, open, branchMoved: _internal, ...pullGestures } = pulls;
  const double: GitHubDouble = {
    ...pushes,
    ...pullGestures,
    openPullRequest: open,
    createFork: fork,
    url: world.url,
    apiUrl: `${world.url}/api/v3`,
    appId: world.app.id,
    clientId: world.app.clientId,
    clientSecret: world.app.clientSecret,
    privateKey: world.app.privateKey,
    privateKeyPath,
    webhookSecret: world.app.webhookSecret,
    adminToken: world.adminToken,
    environment: () => ({
      APP_ID: String(world.app.id),
      PRIVATE_KEY_PATH: privateKeyPath,
      WEBHOOK_SECRET: world.app.webhookSecret,
      GHE_HOST: `127.0.0.1:${port}`,
      GHE_PROTOCOL: 'http',
      GITHUB_CLIENT_ID: world.app.clientId,
      GITHUB_CLIENT_SECRET: world.app.clientSecret,
    }),
    world,
    journal,
    faults,
    limiter,
    webhooks,
    browser,
    gestures,
    recorded,
    createRepository: (given) => createRepository(world, given),
    installation: (owner) => needInstallation(world, owner),
    setRole: (repo, login, role) => {
      ensureUser(world, login);
      needRepository(world, repo).collaborators.set(login.toLowerCase(), role);
    },
    cloneUrl: (repo) => `${world.url}/${repo}.git`,
    setWebhookUrl: (url) => {
      webhooks.url = url;
    },
    deliver: webhooks.deliver,
    deliverRecorded: (event, index) => webhooks.deliver(event, recorded.example(event, index)),
    checkRuns: allRuns,
    latestCheckRuns: (sha) => new Map(allRuns(sha).map((run) => [run.name, run])),
    statuses: (sha) =>
      [...world.repositories.values()].flatMap((one) => one.statuses.filter((s) => s.sha === sha)),
    latestStatuses: (sha) =>
      new Map(
        [...world.repositories.values()].flatMap((one) =>
          latestStatuses(one, sha).map((status): [string, CommitStatus] => [status.context, status]),
        ),
      ),
    callsTo: journal.to,
    waitFor: changes.waitFor,
    expireTokens: () => {
      for (const token of world.tokens.values()) token.expiresAt = 0;
    },
    down: () => listener.close(),
    up: async () => {
      await listener.open();
    },
    close: async () => {
      faults.clear();
      await listener.close();
      await webhooks.stop();
      await listener.settled();
      if (ownDirectory) await rm(dataDir, { recursive: true, force: true });
    },
  };
  const admin = createAdmin(double);
  return double;
}
