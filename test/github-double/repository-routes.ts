/** Repositories read through the API: metadata, roles, branches, commits, contents, pull requests. */
import { noCommit, notFound } from './api-error.ts';
import { git, listRefs, resolveCommit, tryGit } from './git.ts';
import {
  type ChangedPaths,
  type CommitInfo,
  changedBetween,
  changedPaths,
  listCommits,
  readBlob,
  readCommit,
  unchanged,
} from './git-history.ts';
import type { JsonObject } from './json.ts';
import { pullRequestJson, repositoryJson, repositoryUrl, userJson } from './render.ts';
import { paginate, type RepositoryRequest, type Route, repositoryRoute } from './router.ts';
import { type PullRequest, type Repository, roleOf, type World } from './world.ts';

export function repositoryRoutes(world: World): readonly Route[] {
  const needPull = ({ repository, params }: RepositoryRequest): PullRequest => {
    const pull = repository.pulls.get(Number(params.number));
    if (!pull) throw notFound();
    return pull;
  };
  return [
    repositoryRoute({ metadata: 'read' }, 'GET', '', ({ repository }) => ({
      status: 200,
      body: repositoryJson(world, repository),
    })),
    repositoryRoute({ metadata: 'read' }, 'GET', '/collaborators/:user/permission', (request) => {
      const { repository, params } = request;
      const user = world.users.get((params.user ?? '').toLowerCase());
      if (!user) throw notFound();
      const role = roleOf(repository, user.login);
      // The old field knows four levels only: maintain shows as write, triage as read.
      const permission = role === 'maintain' ? 'write' : role === 'triage' ? 'read' : role;
      return { status: 200, body: { permission, role_name: role, user: userJson(world, user) } };
    }),
    repositoryRoute({ contents: 'read' }, 'GET', '/branches', async ({ repository, url }) => {
      const refs = [...(await listRefs(repository.directory))].filter(([ref]) =>
        ref.startsWith('refs/heads/'),
      );
      const { items, headers } = paginate(refs, url);
      const body = items.map(([ref, sha]) => ({ name: ref.slice(11), commit: { sha }, protected: false }));
      return { status: 200, body, headers };
    }),
    repositoryRoute({ contents: 'read' }, 'GET', '/branches/:branch+', async ({ repository, params }) => {
      const name = params.branch ?? '';
      const found = await tryGit(repository.directory, [
        'rev-parse',
        '--verify',
        '--quiet',
        `refs/heads/${name}`,
      ]);
      if (found.exitCode !== 0) throw notFound();
      const commit = await readCommit(repository.directory, found.stdout.trim());
      const body = { name, commit: commitJson(world, repository, commit), protected: false };
      return { status: 200, body };
    }),
    repositoryRoute({ contents: 'read' }, 'GET', '/git/ref/:ref+', async ({ repository, params }) => {
      const ref = `refs/${params.ref}`;
      const sha = (await listRefs(repository.directory)).get(ref);
      if (sha === undefined) throw notFound();
      return { status: 200, body: { ref, object: { type: 'commit', sha } } };
    }),
    repositoryRoute({ contents: 'read' }, 'GET', '/commits/:sha/pulls', ({ repository, params }) => ({
      status: 200,
      body: [...repository.pulls.values()]
        .filter((pull) => pull.headSha === params.sha)
        .map((pull) => pullRequestJson(world, repository, pull)),
    })),
    repositoryRoute({ contents: 'read' }, 'GET', '/commits', async ({ repository, url }) => {
      const ref = url.searchParams.get('sha') ?? repository.defaultBranch;
      const sha = await resolveCommit(repository, ref);
      if (sha === undefined) throw notFound();
      const log = await git(repository.directory, ['rev-list', '--max-count=500', sha]);
      const { items, headers } = paginate(log.split('\n'), url);
      const commits = await Promise.all(items.map((id) => readCommit(repository.directory, id)));
      return { status: 200, body: commits.map((commit) => commitJson(world, repository, commit)), headers };
    }),
    repositoryRoute({ contents: 'read' }, 'GET', '/contents/:path+', (request) => contents(request)),
    repositoryRoute({ contents: 'read' }, 'GET', '/contents', (request) => contents(request)),
    repositoryRoute({ pull_requests: 'read' }, 'GET', '/pulls', ({ repository, url }) => {
      const query = url.searchParams;
      const state = query.get('state') ?? 'open';
      const wanted = [...repository.pulls.values()].filter(
        (pull) =>
          (state === 'all' || pull.state === state) &&
          (query.get('base') ?? pull.base.ref) === pull.base.ref &&
          [null, `${pull.head.repository.owner.login}:${pull.head.ref}`].includes(query.get('head')),
      );
      const { items, headers } = paginate(wanted.toReversed(), url);
      return { status: 200, body: items.map((pull) => pullRequestJson(world, repository, pull)), headers };
    }),
    repositoryRoute({ pull_requests: 'read' }, 'GET', '/pulls/:number', (request) => ({
      status: 200,
      body: pullRequestJson(world, request.repository, needPull(request)),
    })),
    repositoryRoute({ pull_requests: 'read' }, 'GET', '/pulls/:number/files', async (request) => {
      const pull = needPull(request);
      const { directory } = request.repository;
      const base = await git(directory, ['merge-base', pull.baseSha, pull.headSha]);
      const { items, headers } = paginate(
        fileList(await changedBetween(directory, base, pull.headSha)),
        request.url,
      );
      return { status: 200, body: items, headers };
    }),
    repositoryRoute({ pull_requests: 'read' }, 'GET', '/pulls/:number/commits', async (request) => {
      const pull = needPull(request);
      const commits = await listCommits(request.repository.directory, pull.headSha, pull.baseSha);
      const { items, headers } = paginate(commits, request.url);
      return { status: 200, body: items.map((one) => commitJson(world, request.repository, one)), headers };
    }),
  ];
}

/** `GET commits/:ref` comes last: its branch names have slashes and would swallow the others. */
export function commitRoute(world: World): Route {
  return repositoryRoute(
    { contents: 'read' },
    'GET',
    '/commits/:ref+',
    async ({ repository, params, accept }) => {
      const ref = params.ref ?? '';
      const sha = await resolveCommit(repository, ref);
      if (sha === undefined) throw noCommit(ref);
      if (accept.includes('.sha')) return { status: 200, body: Buffer.from(sha) };
      const commit = await readCommit(repository.directory, sha);
      const changes = await changedPaths(repository.directory, [sha]);
      const files = fileList(changes.get(sha) ?? unchanged);
      return { status: 200, body: { ...commitJson(world, repository, commit), files } };
    },
  );
}

function fileList(changed: ChangedPaths): readonly JsonObject[] {
  const named = (status: string, paths: readonly string[]) => paths.map((filename) => ({ filename, status }));
  return [
    ...named('added', changed.added),
    ...named('removed', changed.removed),
    ...named('modified', changed.modified),
  ];
}

function commitJson(world: World, repository: Repository, commit: CommitInfo): JsonObject {
  const url = repositoryUrl(world, repository);
  const person = { name: commit.authorName, email: commit.authorEmail, date: commit.date };
  const account = world.users.get(commit.authorName.toLowerCase());
  return {
    sha: commit.sha,
    node_id: `C_${commit.sha}`,
    url: `${url}/commits/${commit.sha}`,
    commit: {
      message: commit.message,
      author: person,
      committer: person,
      tree: { sha: commit.tree, url: `${url}/git/trees/${commit.tree}` },
    },
    author: account ? userJson(world, account) : null,
    committer: account ? userJson(world, account) : null,
    parents: commit.parents.map((sha) => ({ sha, url: `${url}/commits/${sha}` })),
  };
}

async function contents({ repository, params, url, accept }: RepositoryRequest) {
  const path = (params.path ?? '').replace(/^\/|\/$/g, '');
  const sha = await resolveCommit(repository, url.searchParams.get('ref') ?? repository.defaultBranch);
  if (sha === undefined) throw notFound();
  const list = async (at: string) => {
    const text = await git(repository.directory, ['ls-tree', '-z', '--long', sha, '--', at]);
    return text.split('\0').flatMap((line) => {
      const [, type, id, size, name] = /^\d+ (\w+) (\w+) +(\S+)\t(.*)$/s.exec(line) ?? [];
      if (!type || !id || name === undefined) return [];
      const shown = type === 'blob' ? 'file' : type === 'tree' ? 'dir' : 'submodule';
      return {
        type: shown,
        sha: id,
        size: Number(size) || 0,
        path: name,
        name: name.split('/').at(-1) ?? '',
      };
    });
  };
  const [entry] = path === '' ? [] : await list(path);
  if (path !== '' && !entry) throw notFound();
  if (entry?.type === 'file') {
    const bytes = await readBlob(repository.directory, entry.sha);
    if (accept.includes('.raw')) return { status: 200, body: bytes };
    return { status: 200, body: { ...entry, encoding: 'base64', content: bytes.toString('base64') } };
  }
  return { status: 200, body: await list(path === '' ? '.' : `${path}/`) };
}
