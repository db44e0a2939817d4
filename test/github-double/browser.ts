/** What a person's browser meets: signing in through OAuth, and making an App from a manifest. */
import { randomBytes } from 'node:crypto';
import { ApiError, badCredentials, notFound } from './api-error.ts';
import { asObject, isoTime, type JsonObject } from './json.ts';
import { appJson, installationJson, repositoryJson, userJson } from './render.ts';
import { paginate, type Route, route } from './router.ts';
import type { Auth } from './tokens.ts';
import { ensureUser, reaches, roleOf, type User, type World } from './world.ts';

export interface Browser {
  /** Tokens handed out to people who signed in. */
  readonly tokens: Map<string, User>;
  /** Who sits at the browser; everything they are asked, they allow. `undefined` refuses. */
  person: string | undefined;
  /** The manifest the product last sent through the browser. */
  manifest: JsonObject | undefined;
  readonly routes: readonly Route[];
}

/** Form or JSON body as text fields; null for other paths. */
export interface BrowserRequest {
  readonly method: string;
  readonly url: URL;
  readonly fields: Readonly<Record<string, string>>;
}

export type BrowserReply =
  | { readonly redirect: string }
  | { readonly status: number; readonly json: JsonObject };

export function createBrowser(
  world: World,
): Browser & { visit(request: BrowserRequest): BrowserReply | undefined } {
  const codes = new Map<string, User>();
  const manifestCodes = new Set<string>();
  const redirect = (to: string, parameters: Readonly<Record<string, string | null>>): BrowserReply => {
    const target = new URL(to);
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== null) target.searchParams.set(name, value);
    }
    return { redirect: target.href };
  };
  const needUser = (auth: Auth): User => {
    if (auth.kind !== 'user') throw badCredentials();
    return auth.user;
  };
  const visible = (user: User) =>
    [...world.installations.values()].filter(
      (installation) =>
        !installation.deleted &&
        [...world.repositories.values()].some(
          (one) => reaches(installation, one) && roleOf(one, user.login) !== 'none',
        ),
    );
  const browser: Browser = {
    tokens: new Map<string, User>(),
    person: undefined,
    manifest: undefined,
    routes: [
      route('user', 'GET', '/user', ({ auth }) => ({ status: 200, body: userJson(world, needUser(auth)) })),
      route('user', 'GET', '/user/installations', ({ auth, url }) => {
        const all = visible(needUser(auth));
        const { items, headers } = paginate(all, url);
        const installations = items.map((item) => installationJson(world, item));
        return { status: 200, body: { total_count: all.length, installations }, headers };
      }),
      route('user', 'GET', '/user/installations/:id/repositories', ({ auth, url, params }) => {
        const user = needUser(auth);
        const installation = visible(user).find(({ id }) => String(id) === params.id);
        if (!installation) throw notFound();
        const all = [...world.repositories.values()].filter(
          (one) => reaches(installation, one) && roleOf(one, user.login) !== 'none',
        );
        const { items, headers } = paginate(all, url);
        const repositories = items.map((one) => {
          const role = roleOf(one, user.login);
          const permissions = {
            admin: role === 'admin',
            maintain: ['admin', 'maintain'].includes(role),
            push: ['admin', 'maintain', 'write'].includes(role),
            triage: role !== 'read',
            pull: true,
          };
          return { ...repositoryJson(world, one), permissions };
        });
        return { status: 200, body: { total_count: all.length, repositories }, headers };
      }),
      route('anybody', 'GET', '/users/:login', ({ params }) => {
        const user = world.users.get((params.login ?? '').toLowerCase());
        if (!user) throw notFound();
        return { status: 200, body: userJson(world, user) };
      }),
      route('anybody', 'POST', '/app-manifests/:code/conversions', ({ params }) => {
        // A code works once.
        if (!manifestCodes.delete(params.code ?? '')) throw notFound();
        const { app } = world;
        const secrets = {
          client_secret: app.clientSecret,
          webhook_secret: app.webhookSecret,
          pem: app.privateKey,
        };
        return { status: 201, body: { ...appJson(world), ...secrets } };
      }),
    ],
  };

  const visit = ({ method, url, fields }: BrowserRequest): BrowserReply | undefined => {
    const at = `${method} ${url.pathname}`;
    const query = url.searchParams;
    if (at === 'GET /login/oauth/authorize') {
      const back = query.get('redirect_uri');
      if (query.get('client_id') !== world.app.clientId || back === null) throw notFound();
      if (browser.person === undefined) {
        return redirect(back, { error: 'access_denied', state: query.get('state') });
      }
      const code = randomBytes(10).toString('hex');
      codes.set(code, ensureUser(world, browser.person));
      return redirect(back, { code, state: query.get('state') });
    }
    if (at === 'POST /login/oauth/access_token') return exchange(fields);
    if (method === 'POST' && /^\/(organizations\/[^/]+\/)?settings\/apps\/new$/.test(url.pathname)) {
      const manifest = asObject(JSON.parse(fields.manifest ?? '{}'));
      browser.manifest = { ...manifest, received_at: isoTime(world.clock()) };
      if (typeof manifest.redirect_url !== 'string') {
        throw new ApiError({ status: 422, message: 'The manifest has no redirect_url.' });
      }
      const code = randomBytes(20).toString('hex');
      manifestCodes.add(code);
      return redirect(manifest.redirect_url, { code, state: query.get('state') });
    }
    return undefined;
  };

  const exchange = (fields: Readonly<Record<string, string>>): BrowserReply => {
    if (fields.client_id !== world.app.clientId || fields.client_secret !== world.app.clientSecret) {
      return { status: 200, json: { error: 'incorrect_client_credentials' } };
    }
    const user = codes.get(fields.code ?? '');
    if (!user) return { status: 200, json: { error: 'bad_verification_code' } };
    codes.delete(fields.code ?? '');
    const token = `ghu_${randomBytes(18).toString('hex')}`;
    browser.tokens.set(token, user);
    return { status: 200, json: { access_token: token, token_type: 'bearer', scope: '' } };
  };
  return Object.assign(browser, { visit });
}
