/** Builds of a server, named as people do: the newest revision of a repository, and an attribute of it. */
import { expect } from 'vitest';
import { z } from 'zod';
import type { Product } from './product.ts';

const revisions = z.object({
  items: z.array(z.object({ evaluation: z.object({ id: z.number() }).nullable() })),
});
const jobs = z.object({
  items: z.array(z.object({ attribute: z.string(), buildId: z.number().nullable() })),
});
const build = z.object({
  id: z.number(),
  state: z.string(),
  message: z.string(),
  checks: z.array(z.object({ state: z.string(), builder: z.string().nullable() })),
  attempts: z.array(
    z.object({
      id: z.number(),
      builder: z.string(),
      state: z.string(),
      startedAt: z.string(),
      finishedAt: z.string().nullable(),
    }),
  ),
});
export type WatchedBuild = z.infer<typeof build>;

export interface BuildWatch {
  /** Waits until it is wished. */
  idOf(repo: string, attribute: string): Promise<number>;
  /** Its attempts are sorted by when they began. */
  of(repo: string, attribute: string): Promise<WatchedBuild>;
  /** Waits until the build is in that state. */
  until(repo: string, attribute: string, state: string): Promise<void>;
  /** Waits until its log contains this. */
  untilLogged(repo: string, attribute: string, text: RegExp): Promise<void>;
}

const timeout = 40_000;

/** `product` is asked each time: after a restart it is another one. */
export function watchBuilds(product: () => Product): BuildWatch {
  const known = new Map<string, number>();
  const look = async (repo: string) => {
    const { items } = revisions.parse(await product().json(`/api/v1/projects/${repo}/revisions`));
    const evaluation = items[0]?.evaluation?.id;
    if (evaluation === undefined) return;
    const found = jobs.parse(await product().json(`/api/v1/evaluations/${evaluation}/jobs?limit=100`));
    for (const { attribute, buildId } of found.items) {
      if (buildId !== null) known.set(`${repo} ${attribute}`, buildId);
    }
  };
  const idOf = async (repo: string, attribute: string): Promise<number> => {
    const find = async () => {
      await look(repo).catch(() => {}); // The project is not known yet.
      return known.get(`${repo} ${attribute}`);
    };
    if (!known.has(`${repo} ${attribute}`)) await expect.poll(find, { timeout }).toBeDefined();
    return known.get(`${repo} ${attribute}`) ?? 0;
  };
  const of = async (repo: string, attribute: string) => {
    const found = build.parse(await product().json(`/api/v1/builds/${await idOf(repo, attribute)}`));
    found.attempts.sort((a, b) => a.startedAt.localeCompare(b.startedAt));
    return found;
  };
  return {
    idOf,
    of,
    until: (repo, attribute, state) =>
      expect.poll(async () => (await of(repo, attribute)).state, { timeout }).toBe(state),
    untilLogged: async (repo, attribute, text) => {
      const path = `/api/v1/builds/${await idOf(repo, attribute)}/log`;
      await expect.poll(async () => (await product().get(path)).text(), { timeout }).toMatch(text);
    },
  };
}
