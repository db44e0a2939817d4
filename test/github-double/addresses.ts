/** Addresses that survive renames. */
import { apiPrefix } from './render.ts';
import { findRepository, fullName, type World } from './world.ts';

/** `/repositories/:id/...` is the address that survives renames. */
export function byName(world: World, path: string): string {
  const [, id, rest] = /^\/repositories\/(\d+)(\/.*)?$/.exec(path) ?? [];
  const repository = id === undefined ? undefined : world.repositories.get(Number(id));
  return repository ? `/repos/${fullName(repository)}${rest ?? ''}` : path;
}

/** Where a former name leads: by id in the API, by the new name for git. */
export function newAddress(world: World, url: URL): string | undefined {
  const [, api, owner, name, rest] =
    /^(\/api\/v3\/repos)?\/([^/]+)\/([^/]+?)((?:\.git)?(?:\/.*)?)$/.exec(url.pathname) ?? [];
  if (findRepository(world, `${owner}/${name}`)) return undefined;
  const id = world.formerNames.get(`${owner}/${name}`.toLowerCase());
  const repository = id === undefined ? undefined : world.repositories.get(id);
  if (!repository) return undefined;
  const base =
    api === undefined
      ? `${world.url}/${fullName(repository)}`
      : `${world.url}${apiPrefix}/repositories/${id}`;
  return `${base}${rest}${url.search}`;
}
