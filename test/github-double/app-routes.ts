/** The App about itself: installations, their tokens, webhook deliveries, the manifest flow. */
import { z } from 'zod';
import { badCredentials, notFound, unprocessable } from './api-error.ts';
import { parseBody } from './check-run-rules.ts';
import { isoTime } from './json.ts';
import { appJson, installationJson, repositoryJson } from './render.ts';
import { type ApiRequest, paginate, type Route, route } from './router.ts';
import { grants, mintToken, suspended, tokenReaches } from './tokens.ts';
import {
  findRepository,
  type Installation,
  installationOf,
  type Repository,
  reaches,
  type World,
} from './world.ts';

const narrowing = z.strictObject({
  repositories: z.array(z.string()).max(500).optional(),
  repository_ids: z.array(z.int()).max(500).optional(),
  permissions: z.record(z.string(), z.enum(['read', 'write', 'admin'])).optional(),
});

export function appRoutes(world: World): readonly Route[] {
  const needInstallation = ({ params }: ApiRequest): Installation => {
    const found = world.installations.get(Number(params.id));
    if (!found || found.deleted) throw notFound();
    return found;
  };
  return [
    route('app', 'GET', '/app', () => ({
      status: 200,
      body: { ...appJson(world), installations_count: world.installations.size },
    })),
    route('app', 'GET', '/app/installations', ({ url }) => {
      const all = [...world.installations.values()].filter(({ deleted }) => !deleted);
      const { items, headers } = paginate(all, url);
      return { status: 200, body: items.map((item) => installationJson(world, item)), headers };
    }),
    route('app', 'GET', '/app/installations/:id', (request) => ({
      status: 200,
      body: installationJson(world, needInstallation(request)),
    })),
    route('app', 'POST', '/app/installations/:id/access_tokens', (request) =>
      createToken(world, needInstallation(request), request.body),
    ),
    route('app', 'GET', '/repos/:owner/:repo/installation', ({ params }) => {
      const repository = findRepository(world, `${params.owner}/${params.repo}`);
      const installation = repository && installationOf(world, repository);
      if (!installation) throw notFound();
      return { status: 200, body: installationJson(world, installation) };
    }),
    ...['/users/:login/installation', '/orgs/:login/installation'].map((path) =>
      route('app', 'GET', path, ({ params }) => {
        const login = params.login?.toLowerCase();
        const found = [...world.installations.values()].find(
          ({ account, deleted }) => !deleted && account.login.toLowerCase() === login,
        );
        if (!found) throw notFound();
        return { status: 200, body: installationJson(world, found) };
      }),
    ),
    route('installation', 'GET', '/installation/repositories', ({ auth, url }) => {
      if (auth.kind !== 'installation') throw badCredentials();
      const all = [...world.repositories.values()].filter((repository) =>
        tokenReaches(auth.token, repository),
      );
      const { items, headers } = paginate(all, url);
      const body = {
        total_count: all.length,
        repository_selection: auth.token.repositoryIds ? 'selected' : auth.token.installation.selection,
        repositories: items.map((repository) => repositoryJson(world, repository)),
      };
      return { status: 200, body, headers };
    }),
    route('installation', 'DELETE', '/installation/token', ({ auth }) => {
      if (auth.kind !== 'installation') throw badCredentials();
      world.tokens.delete(auth.token.value);
      return { status: 204 };
    }),
  ];
}

function createToken(world: World, installation: Installation, body: unknown) {
  const input = parseBody(narrowing, body, 'InstallationToken');
  if (installation.suspendedAt !== undefined) throw suspended();
  const permissions = input.permissions ?? installation.permissions;
  for (const [name, level] of Object.entries(permissions)) {
    if (name === 'metadata' && level === 'read') continue;
    if (!grants(installation.permissions[name], level)) {
      throw unprocessable('The permissions requested are not granted to this installation.');
    }
  }
  const chosen = chooseRepositories(world, installation, input);
  const ids = chosen && new Set(chosen.map(({ id }) => id));
  const token = mintToken(world, installation, permissions, ids);
  return {
    status: 201,
    body: {
      token: token.value,
      expires_at: isoTime(token.expiresAt),
      permissions: token.permissions,
      repository_selection: chosen ? 'selected' : installation.selection,
      ...(chosen ? { repositories: chosen.map((repository) => repositoryJson(world, repository)) } : {}),
    },
  };
}

function chooseRepositories(
  world: World,
  installation: Installation,
  input: z.infer<typeof narrowing>,
): readonly Repository[] | undefined {
  if (input.repositories === undefined && input.repository_ids === undefined) return undefined;
  const all = [...world.repositories.values()].filter((repository) => reaches(installation, repository));
  const need = (found: Repository | undefined): Repository => {
    if (found) return found;
    throw unprocessable(
      'There is at least one repository that does not exist or is not accessible to the parent installation.',
    );
  };
  return [
    ...(input.repositories ?? []).map((name) =>
      need(all.find((one) => one.name.toLowerCase() === name.toLowerCase())),
    ),
    ...(input.repository_ids ?? []).map((id) => need(all.find((one) => one.id === id))),
  ];
}
