/** The first state of a double, and new repositories in it. */
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { DoubleOptions, NewRepository } from './face.ts';
import { createBareRepository } from './git.ts';
import {
  ensureUser,
  findRepository,
  type Installation,
  type Permissions,
  type Repository,
  type World,
} from './world.ts';

/** What Ringmaster's App asks for. */
const defaultPermissions: Permissions = {
  checks: 'write',
  contents: 'read',
  issues: 'write',
  members: 'read',
  merge_queues: 'read',
  metadata: 'read',
  pull_requests: 'write',
  statuses: 'write',
};

/** `installation` and `installation_repositories` come unasked. */
const defaultEvents: readonly string[] = [
  'check_run',
  'check_suite',
  'issue_comment',
  'merge_group',
  'pull_request',
  'pull_request_review',
  'push',
  'repository',
];

/** A GitHub with one App and nothing else. */
export function createWorld(options: DoubleOptions, dataDir: string): World {
  const clock = options.clock ?? Date.now;
  // Large enough that no id is mistaken for a pull request's number.
  let id = 100_000;
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  return {
    clock,
    dataDir,
    url: 'http://127.0.0.1',
    adminToken: `admin_${randomBytes(12).toString('hex')}`,
    app: {
      id: 4242,
      clientId: `Iv1.${randomBytes(8).toString('hex')}`,
      clientSecret: randomBytes(20).toString('hex'),
      slug: 'ringmaster',
      name: 'Ringmaster',
      owner: { login: 'ringmaster-makers', id: 4241, type: 'Organization' },
      privateKey: pair.privateKey,
      publicKey: createPublicKey(pair.publicKey),
      permissions: options.permissions ?? defaultPermissions,
      events: options.events ?? defaultEvents,
      webhookSecret: options.webhookSecret ?? randomBytes(20).toString('hex'),
      createdAt: clock(),
    },
    users: new Map(),
    repositories: new Map(),
    installations: new Map(),
    tokens: new Map(),
    formerNames: new Map(),
    nextId: () => ++id,
  };
}

/** An empty repository; its owner's installation is made with it. */
export async function createRepository(world: World, given: NewRepository): Promise<Repository> {
  const [ownerName, name, more] = given.name.split('/');
  const valid = /^[\w.-]+$/;
  if (!ownerName || !name || more !== undefined || !valid.test(ownerName) || !valid.test(name)) {
    throw new Error(`'${given.name}' is not of the form owner/name.`);
  }
  if (findRepository(world, given.name)) throw new Error(`'${given.name}' exists already.`);
  const owner = ensureUser(world, ownerName, given.organization === true ? 'Organization' : 'User');
  const repository = newRepository(world, {
    owner,
    name,
    private: given.private ?? false,
    defaultBranch: given.defaultBranch ?? 'main',
    directory: join(world.dataDir, 'repositories', `${ownerName}-${name}.git`),
    parent: undefined,
  });
  await createBareRepository(repository.directory, repository.defaultBranch);
  world.repositories.set(repository.id, repository);
  if (given.installed !== false) install(world, repository);
  return repository;
}

/** A repository's record, before git knows it. */
export function newRepository(
  world: World,
  facts: Pick<Repository, 'owner' | 'name' | 'private' | 'defaultBranch' | 'directory' | 'parent'>,
): Repository {
  return {
    ...facts,
    id: world.nextId(),
    collaborators: new Map(),
    pulls: new Map(),
    suites: [],
    runs: [],
    statuses: [],
    comments: [],
    reviewComments: [],
    protectedBranches: new Set(),
    announcedRefs: new Map(),
    knownCommits: new Set(),
    nextNumber: 1,
    createdAt: world.clock(),
  };
}

function install(world: World, repository: Repository): void {
  const found = [...world.installations.values()].find(
    ({ account, deleted }) => !deleted && account === repository.owner,
  );
  if (found) {
    found.repositoryIds.add(repository.id);
    return;
  }
  const installation: Installation = {
    id: world.nextId(),
    account: repository.owner,
    permissions: world.app.permissions,
    suspendedAt: undefined,
    deleted: false,
    selection: 'selected',
    repositoryIds: new Set([repository.id]),
    createdAt: world.clock(),
  };
  world.installations.set(installation.id, installation);
}

/** The installation of an account, for a test that must have it. */
export function needInstallation(world: World, owner: string): Installation {
  const login = owner.toLowerCase();
  for (const installation of world.installations.values()) {
    if (!installation.deleted && installation.account.login.toLowerCase() === login) return installation;
  }
  throw new Error(`The App is not installed for '${owner}'.`);
}
