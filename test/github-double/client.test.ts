import { Probot, ProbotOctokit } from 'probot';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type GitHubDouble, startGitHubDouble } from './index.ts';

let double: GitHubDouble;
let sha = '';

beforeAll(async () => {
  double = await startGitHubDouble();
  await double.createRepository({ name: 'alice/app', private: true });
  sha = (await double.push({ repo: 'alice/app', files: { 'ci.nix': '{ }\n', 'a/b.txt': 'hello\n' } })).sha;
});

afterAll(() => double.close());

const makeProbot = () =>
  new Probot({
    appId: double.appId,
    privateKey: double.privateKey,
    secret: double.webhookSecret,
    baseUrl: double.apiUrl,
    // Plain defaults are lost: Probot lays its own throttle options over them.
    Octokit: ProbotOctokit.defaults((options: object) => ({
      ...options,
      throttle: { enabled: false },
      retry: { enabled: false },
    })),
    logLevel: 'fatal',
  });

const installed = () => makeProbot().auth(double.installation('alice').id);
const app = { owner: 'alice', repo: 'app' };

test('the App finds itself, its installation and the repositories it was given', async () => {
  const octokit = await makeProbot().auth();
  expect((await octokit.rest.apps.getAuthenticated()).data?.id).toBe(double.appId);
  const { data } = await octokit.rest.apps.getRepoInstallation(app);
  expect(data.id).toBe(double.installation('alice').id);
  const repositories = await (await installed()).rest.apps.listReposAccessibleToInstallation();
  expect(repositories.data.repositories.map((one) => one.full_name)).toEqual(['alice/app']);
});

test('a check run is created, completed and read back, and GitHub shows its whole history', async () => {
  const octokit = await installed();
  const created = await octokit.rest.checks.create({
    ...app,
    name: 'ringmaster',
    head_sha: sha,
    status: 'in_progress',
  });
  await octokit.rest.checks.update({
    ...app,
    check_run_id: created.data.id,
    conclusion: 'failure',
    output: {
      title: 'One job failed',
      summary: 'See below',
      annotations: [
        { path: 'ci.nix', start_line: 1, end_line: 1, annotation_level: 'failure', message: 'undefined' },
      ],
    },
  });
  const { data } = await octokit.rest.checks.listForRef({ ...app, ref: 'main', check_name: 'ringmaster' });
  expect(data.check_runs.map((run) => [run.status, run.conclusion])).toEqual([['completed', 'failure']]);
  const notes = await octokit.rest.checks.listAnnotations({ ...app, check_run_id: created.data.id });
  expect(notes.data.map((note) => note.path)).toEqual(['ci.nix']);
  const [run] = double.checkRuns(sha);
  expect(run?.history.map((state) => state.conclusion ?? state.status)).toEqual(['in_progress', 'failure']);
});

test('a re-run under the same name hides the older run, which filter=all still shows', async () => {
  const octokit = await installed();
  for (const conclusion of ['failure', 'success'] as const) {
    await octokit.rest.checks.create({ ...app, name: 'again', head_sha: sha, conclusion });
  }
  const list = (filter: 'latest' | 'all') =>
    octokit.rest.checks.listForRef({ ...app, ref: sha, check_name: 'again', filter });
  expect((await list('latest')).data.check_runs.map((run) => run.conclusion)).toEqual(['success']);
  expect((await list('all')).data.total_count).toBe(2);
});

test('lists are paged, and the client walks to the last page by itself', async () => {
  const octokit = await installed();
  for (let n = 0; n < 7; n++) {
    await octokit.rest.checks.create({ ...app, name: `page ${n}`, head_sha: sha });
  }
  const all = await octokit.paginate(octokit.rest.checks.listForRef, { ...app, ref: sha, per_page: 3 });
  expect(all.filter((run) => run.name.startsWith('page '))).toHaveLength(7);
});

test('the combined status takes the newest status of each context', async () => {
  const octokit = await installed();
  const say = (context: string, state: 'pending' | 'success' | 'failure') =>
    octokit.rest.repos.createCommitStatus({ ...app, sha, context, state, description: state });
  await say('ringmaster/ci', 'pending');
  await say('other', 'success');
  expect((await octokit.rest.repos.getCombinedStatusForRef({ ...app, ref: 'main' })).data.state).toBe(
    'pending',
  );
  await say('ringmaster/ci', 'success');
  expect((await octokit.rest.repos.getCombinedStatusForRef({ ...app, ref: sha })).data.state).toBe('success');
  expect(double.latestStatuses(sha).get('ringmaster/ci')?.state).toBe('success');
  expect(double.statuses(sha)).toHaveLength(3);
});

test('files, directories, branches and commits can be read', async () => {
  const octokit = await installed();
  const file = await octokit.rest.repos.getContent({ ...app, path: 'a/b.txt', ref: sha });
  expect(file.data).toMatchObject({ type: 'file', content: Buffer.from('hello\n').toString('base64') });
  const root = await octokit.rest.repos.getContent({ ...app, path: '' });
  expect(root.data).toMatchObject([
    { name: 'a', type: 'dir' },
    { name: 'ci.nix', type: 'file' },
  ]);
  await expect(octokit.rest.repos.getContent({ ...app, path: 'none' })).rejects.toMatchObject({
    status: 404,
  });
  expect((await octokit.rest.repos.getBranch({ ...app, branch: 'main' })).data.commit.sha).toBe(sha);
  await double.push({ repo: 'alice/app', branch: 'fix/slash', files: { x: '1' } });
  const branch = await octokit.rest.repos.getBranch({ ...app, branch: 'fix/slash' });
  expect(branch.data.name).toBe('fix/slash');
  const commit = await octokit.rest.repos.getCommit({ ...app, ref: 'fix/slash' });
  expect(commit.data.parents.map((parent) => parent.sha)).toEqual([sha]);
});

test('a collaborator has the role the owner gave, a stranger none', async () => {
  double.setRole('alice/app', 'bob', 'maintain');
  double.setRole('alice/app', 'eve', 'none');
  const octokit = await installed();
  const roleOf = async (username: string) =>
    (await octokit.rest.repos.getCollaboratorPermissionLevel({ ...app, username })).data;
  expect(await roleOf('bob')).toMatchObject({ permission: 'write', role_name: 'maintain' });
  expect(await roleOf('eve')).toMatchObject({ permission: 'none' });
  await expect(roleOf('nobody-here')).rejects.toMatchObject({ status: 404 });
});

test('comments on a pull request are made, edited and reacted to', async () => {
  const octokit = await installed();
  const { number } = await double.openPullRequest({ repo: 'alice/app', head: 'talk', files: { t: '1' } });
  const made = await octokit.rest.issues.createComment({ ...app, issue_number: number, body: 'working' });
  await octokit.rest.issues.updateComment({ ...app, comment_id: made.data.id, body: 'done' });
  await octokit.rest.reactions.createForIssueComment({ ...app, comment_id: made.data.id, content: 'eyes' });
  const comments = await octokit.rest.issues.listComments({ ...app, issue_number: number });
  expect(comments.data.map((one) => [one.user?.login, one.body])).toEqual([['ringmaster[bot]', 'done']]);
  const reactions = await octokit.rest.reactions.listForIssueComment({ ...app, comment_id: made.data.id });
  expect(reactions.data.map((one) => one.content)).toEqual(['eyes']);
});

test('a pull request of a fork names the fork, and its head can be read from the base', async () => {
  const octokit = await installed();
  const opened = await double.openPullRequest({
    repo: 'alice/app',
    head: 'improve',
    fork: 'mallory',
    files: { 'ci.nix': '{ a = 1; }\n' },
  });
  const { data } = await octokit.rest.pulls.get({ ...app, pull_number: opened.number });
  expect([data.head.repo?.full_name, data.base.repo.full_name]).toEqual(['mallory/app', 'alice/app']);
  expect(data.mergeable).toBe(true);
  const run = await octokit.rest.checks.create({ ...app, name: 'on a fork', head_sha: opened.headSha });
  expect(run.data.pull_requests).toEqual([]);
  expect(run.data.check_suite).toMatchObject({ head_branch: null });
});

test('an endpoint nobody taught the double is a 404 that the journal points at', async () => {
  const octokit = await installed();
  await expect(octokit.request('GET /repos/alice/app/traffic/views')).rejects.toMatchObject({ status: 404 });
  expect(double.journal.calls.filter((call) => call.unexpected).map((call) => call.path)).toEqual([
    '/repos/alice/app/traffic/views',
  ]);
});
