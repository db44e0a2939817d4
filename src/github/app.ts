/**
 * The GitHub App: who we are towards GitHub. Probot gives the signature check and the clients.
 *
 * Probot's throttling and retrying are switched off: they space writes by a second, forget at a
 * restart and know nothing of other processes. Retrying is the outbox' and the task queue's.
 */
import { createPrivateKey } from 'node:crypto';
import type { ProbotOctokit } from 'probot';
import { type Logger, OperatorError } from '../basics/index.ts';

/** What an operator configures; `ringmaster.toml` section `github`. */
export interface GitHubSettings {
  readonly appId?: string | number | undefined;
  /** PEM text. */
  readonly privateKey?: string | undefined;
  readonly webhookSecret?: string | undefined;
  /** GitHub Enterprise Server's host, with port if need be; undefined is github.com. */
  readonly host?: string | undefined;
  /** `https` unless given. */
  readonly protocol?: string | undefined;
}

/** A token of an installation, and until when GitHub accepts it. */
export interface InstallationToken {
  readonly token: string;
  readonly expiresAt: Date;
}

/** What a token may do: never more than its purpose needs. */
export interface TokenScope {
  readonly permissions: Readonly<Record<string, 'read' | 'write'>>;
  /** GitHub's repository ids; without them all repositories of the installation. */
  readonly repositoryIds?: readonly number[];
}

export type GitHubClient = ProbotOctokit;

export interface GitHubApp {
  readonly appId: number;
  /** Where people and git go, for example `https://github.com`, without a slash at the end. */
  readonly webUrl: string;
  /** Whether the signature belongs to these bytes; takes the same time for every wrong one. */
  verify(body: string, signature: string): Promise<boolean>;
  /** Tokens minted in the last hour, for keeping them out of logs; another list when it changes. */
  tokensInForce(): readonly string[];
  /** Mints a token. Rejects with what `failureOf` understands. */
  mintToken(installationId: number, scope: TokenScope): Promise<InstallationToken>;
  /** A client that uses one token. */
  clientFor(token: string): GitHubClient;
  /** A client as the App itself, for what belongs to no installation. */
  appClient(): Promise<GitHubClient>;
}

/** Milliseconds for one call, its answer's body included. */
const defaultCallTimeoutMs = 30_000;

/** The settings without which GitHub cannot be talked to and that are missing, by their names. */
export function missingGitHubSettings(settings: GitHubSettings): readonly string[] {
  const needed = {
    'github.app_id (APP_ID)': settings.appId,
    'github.private_key (PRIVATE_KEY or PRIVATE_KEY_PATH)': settings.privateKey,
    // Probot would take the word 'development' for it.
    'github.webhook_secret (WEBHOOK_SECRET)': settings.webhookSecret,
  };
  return Object.entries(needed)
    .filter(([, value]) => value === undefined || value === '')
    .map(([name]) => name);
}

/** Opens the App, or undefined when settings are missing. Wrong ones are an OperatorError. */
export async function openGitHubApp(
  settings: GitHubSettings,
  log: Logger,
  options: { readonly callTimeoutMs?: number } = {},
): Promise<GitHubApp | undefined> {
  const { privateKey, webhookSecret } = settings;
  if (missingGitHubSettings(settings).length > 0 || !privateKey || !webhookSecret) return undefined;
  const appId = checkAppId(settings.appId);
  checkPrivateKey(privateKey);
  const webUrl = webUrlOf(settings);
  const baseUrl = settings.host ? `${webUrl}/api/v3` : 'https://api.github.com';

  // 30 MB and 200 ms: only for processes that talk to GitHub.
  const probotModule = await import('probot');
  const timeoutMs = options.callTimeoutMs ?? defaultCallTimeoutMs;
  const fetchInTime: typeof fetch = (input, init) =>
    fetch(input, { ...init, signal: init?.signal ?? AbortSignal.timeout(timeoutMs) });
  const common = { baseUrl, request: { fetch: fetchInTime } };
  const quiet = { throttle: { enabled: false }, retry: { enabled: false } };
  // A function, since Probot lays its own settings over those of a plain record.
  const Client = probotModule.ProbotOctokit.defaults((given: object) => ({ ...given, ...quiet }));
  const probotLog = log.child({ part: 'probot' }, { level: 'warn' });
  const probot = new probotModule.Probot({
    ...common,
    appId,
    privateKey,
    secret: webhookSecret,
    Octokit: Client,
    log: probotLog,
  });
  await probot.ready();

  let minted: readonly InstallationToken[] = [];
  let tokens: readonly string[] = [];
  return {
    appId,
    tokensInForce: () => tokens,
    webUrl,
    verify: (body, signature) => probot.webhooks.verify(body, signature),
    async mintToken(installationId, scope) {
      const client = await probot.auth();
      // Not through octokit's own token store: asked for narrower tokens it forgets the base URL.
      const { data } = await client.request('POST /app/installations/{installation_id}/access_tokens', {
        installation_id: installationId,
        permissions: scope.permissions,
        ...(scope.repositoryIds ? { repository_ids: [...scope.repositoryIds] } : {}),
      });
      const token = { token: data.token, expiresAt: new Date(data.expires_at) };
      minted = [...minted.filter(({ expiresAt }) => expiresAt.getTime() > Date.now()), token];
      tokens = minted.map((one) => one.token);
      return token;
    },
    clientFor: (token) => new Client({ ...common, ...quiet, auth: { token }, log: probotLog }),
    appClient: () => probot.auth(),
  };
}

function checkAppId(appId: string | number | undefined): number {
  const number = Number(appId);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new OperatorError({
    code: 'github-app-id',
    message: `github.app_id (APP_ID) is '${appId}', which is not a number.`,
    hint: "It is the 'App ID' on the App's settings page on GitHub.",
    exitStatus: 3,
  });
}

function checkPrivateKey(privateKey: string): void {
  try {
    createPrivateKey(privateKey);
  } catch (cause) {
    throw new OperatorError({
      code: 'github-private-key',
      message: "The GitHub App's private key (PRIVATE_KEY or PRIVATE_KEY_PATH) cannot be read as a PEM key.",
      hint: "It is the whole content of the .pem file that GitHub gives on the App's settings page.",
      exitStatus: 3,
      cause,
    });
  }
}

function webUrlOf({ host, protocol = 'https' }: GitHubSettings): string {
  const url = host ? `${protocol}://${host}` : 'https://github.com';
  if (!host || (/^https?$/.test(protocol) && URL.canParse(url) && new URL(url).host === host.toLowerCase())) {
    return url;
  }
  throw new OperatorError({
    code: 'github-host',
    message: `'${url}' is not a GitHub server's address.`,
    hint: 'github.host (GHE_HOST) is a host name with an optional port; github.protocol (GHE_PROTOCOL) is http or https.',
    exitStatus: 3,
  });
}
