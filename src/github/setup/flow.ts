/**
 * Setting up the App in a browser, by GitHub's manifest flow.
 *
 *   admitted by a token that only the console shows -> sent to GitHub with a state of its own
 *     -> back with the state and a code -> the code is turned into credentials, once -> stored
 *
 * Whoever has the token decides which App this server is: it is made at each start, is compared in
 * constant time, and ends with the set-up.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { type Logger, messageOf } from '../../basics/index.ts';
import { appManifest } from './manifest.ts';
import { type StoredApp, storeApp } from './stored-app.ts';

export interface SetupOptions {
  readonly dataDir: string;
  /** GitHub Enterprise Server's host, with port if need be. */
  readonly host: string | undefined;
  readonly protocol: 'http' | 'https';
  readonly log: Logger;
  /** Called when the App is there and its credentials are stored. */
  readonly onCreated: () => void;
  /** Default: the machine's clock. */
  readonly now?: () => number;
}

export interface SetupFlow {
  /** For the console, once. */
  readonly token: string;
  admits(token: string): boolean;
  /** Where the browser is to post the manifest. Throws a SetupProblem for addresses that cannot work. */
  begin(wishes: { readonly publicUrl: string; readonly organization: string }): {
    readonly action: string;
    readonly manifest: string;
  };
  /** What GitHub sent the browser back with. Throws a SetupProblem when that leads nowhere. */
  finish(answer: { readonly code: string; readonly state: string }): Promise<StoredApp>;
}

/** For the person at the browser. */
export class SetupProblem extends Error {}

/** GitHub forgets codes after an hour. */
const stateLifetimeMs = 3600_000;
const mostStates = 20;
const callTimeoutMs = 30_000;

const conversion = z.object({
  id: z.number(),
  name: z.string(),
  html_url: z.string(),
  pem: z.string(),
  webhook_secret: z.string().min(1),
});

export function createSetupFlow(options: SetupOptions): SetupFlow {
  const now = options.now ?? Date.now;
  const token = randomBytes(24).toString('base64url');
  /** Until when each may come back. */
  const states = new Map<string, number>();
  const site = `${options.protocol}://${options.host ?? 'github.com'}`;
  const api = options.host === undefined ? 'https://api.github.com' : `${site}/api/v3`;
  let done = false;

  return {
    token,
    admits: (given) => !done && sameText(given, token),
    begin({ publicUrl, organization }) {
      const url = checkedUrl(publicUrl);
      if (organization !== '' && !/^[A-Za-z0-9-]{1,39}$/.test(organization)) {
        throw new SetupProblem(`'${organization.slice(0, 50)}' is not the name of an organization.`);
      }
      for (const [state, until] of states) if (until < now()) states.delete(state);
      const [oldest] = states.keys();
      if (states.size >= mostStates && oldest !== undefined) states.delete(oldest);
      const state = randomBytes(24).toString('base64url');
      states.set(state, now() + stateLifetimeMs);
      const where = organization === '' ? '' : `/organizations/${organization}`;
      return {
        action: `${site}${where}/settings/apps/new?state=${state}`,
        manifest: JSON.stringify(appManifest({ publicUrl: url, redirectUrl: `${url}/setup/callback` })),
      };
    },
    async finish({ code, state }) {
      const until = states.get(state);
      states.delete(state);
      if (done || until === undefined || until < now()) {
        throw new SetupProblem(
          'This answer of GitHub belongs to no set-up that is under way here. Begin again from the address that the server printed.',
        );
      }
      if (!/^[\w-]{1,200}$/.test(code)) throw new SetupProblem('GitHub sent no code that can be used.');
      const made = await convert(api, code);
      const app: StoredApp = {
        appId: String(made.id),
        privateKey: made.pem,
        webhookSecret: made.webhook_secret,
        ...(options.host === undefined ? {} : { host: options.host }),
        protocol: options.protocol,
        name: made.name,
        page: made.html_url,
      };
      await storeApp(options.dataDir, app);
      done = true;
      options.log.info({ app: app.appId, name: app.name }, 'the GitHub App was created');
      options.onCreated();
      return app;
    },
  };
}

async function convert(api: string, code: string): Promise<z.infer<typeof conversion>> {
  let answer: Response;
  try {
    answer = await fetch(`${api}/app-manifests/${encodeURIComponent(code)}/conversions`, {
      method: 'POST',
      headers: { accept: 'application/vnd.github+json', 'user-agent': 'ringmaster' },
      signal: AbortSignal.timeout(callTimeoutMs),
    });
  } catch (error) {
    throw new SetupProblem(`GitHub could not be reached: ${messageOf(error)}. Begin again.`);
  }
  if (!answer.ok) {
    throw new SetupProblem(
      `GitHub answered ${answer.status} to the code it had given: it was used before, or is older than an hour. Begin again.`,
    );
  }
  const parsed = conversion.safeParse(await answer.json().catch(() => undefined));
  // Its text holds the key.
  if (!parsed.success) throw new SetupProblem('GitHub made the App but did not tell its credentials.');
  return parsed.data;
}

/** Of the same length for every text, so that the time says nothing about the token. */
function sameText(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const good = url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  if (!good) throw new SetupProblem(`'${text.slice(0, 100)}' is not an http or https address.`);
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}
