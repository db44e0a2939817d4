/** The table of endpoints: who may call each, and what answers. */

import type { Call } from './journal.ts';
import { compilePattern, type Pattern } from './pattern.ts';
import type { Auth } from './tokens.ts';
import type { Level, Repository } from './world.ts';

export interface ApiRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly url: URL;
  readonly body: unknown;
  readonly auth: Auth;
  readonly accept: string;
  readonly call: Call;
}

export interface ApiReply {
  readonly status: number;
  /** JSON, or bytes sent as they are. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RepositoryRequest extends ApiRequest {
  readonly repository: Repository;
}

/** Permissions any one of which opens the endpoint. */
export type Needs = Readonly<Record<string, Level>>;

type Answer = ApiReply | Promise<ApiReply>;

export type Route = { readonly method: string; readonly pattern: Pattern; readonly path: string } & (
  | {
      readonly access: 'app' | 'installation' | 'user' | 'anybody';
      readonly answer: (r: ApiRequest) => Answer;
    }
  | {
      readonly access: 'repository';
      readonly needs: Needs;
      readonly answer: (r: RepositoryRequest) => Answer;
    }
);

/** A route that is not about one repository. */
export function route(
  access: 'app' | 'installation' | 'user' | 'anybody',
  method: string,
  path: string,
  answer: (request: ApiRequest) => Answer,
): Route {
  return { access, method, path, pattern: compilePattern(path), answer };
}

/** A route below `/repos/:owner/:repo`. */
export function repositoryRoute(
  needs: Needs,
  method: string,
  path: string,
  answer: (request: RepositoryRequest) => Answer,
): Route {
  const whole = `/repos/:owner/:repo${path}`;
  return { access: 'repository', needs, method, path: whole, pattern: compilePattern(whole), answer };
}

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

/** The first route that fits. */
export function findRoute(routes: readonly Route[], method: string, path: string): Match | undefined {
  for (const candidate of routes) {
    if (candidate.method !== method) continue;
    const found = candidate.pattern.regex.exec(path);
    if (!found) continue;
    const params: Record<string, string> = {};
    candidate.pattern.names.forEach((name, index) => {
      params[name] = decodeURIComponent(found[index + 1] ?? '');
    });
    return { route: candidate, params };
  }
  return undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly headers: Record<string, string>;
}

/** One page of a list, with the `Link` header by which clients walk on. */
export function paginate<T>(all: readonly T[], url: URL): Page<T> {
  const perPage = Math.min(100, Math.max(1, numberOf(url, 'per_page', 30)));
  const page = Math.max(1, numberOf(url, 'page', 1));
  const last = Math.max(1, Math.ceil(all.length / perPage));
  const link = (to: number, rel: string) => {
    const target = new URL(url);
    target.searchParams.set('page', String(to));
    return `<${target.href}>; rel="${rel}"`;
  };
  const links = [
    ...(page > 1 ? [link(page - 1, 'prev'), link(1, 'first')] : []),
    ...(page < last ? [link(page + 1, 'next'), link(last, 'last')] : []),
  ];
  return {
    items: all.slice((page - 1) * perPage, page * perPage),
    headers: links.length ? { link: links.join(', ') } : {},
  };
}

function numberOf(url: URL, name: string, fallback: number): number {
  const value = Number.parseInt(url.searchParams.get(name) ?? '', 10);
  return Number.isNaN(value) ? fallback : value;
}
