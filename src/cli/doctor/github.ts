/** Checks of the GitHub App: that there are credentials, and, asked of GitHub, that they and the App will do. */
import type { Config } from '../../basics/config/index.ts';
import type { Logger } from '../../basics/index.ts';
import {
  type AppInspection,
  type GitHubApp,
  inspectGitHubApp,
  missingGitHubSettings,
  openGitHubApp,
  webhooksPath,
  withStoredApp,
} from '../../github/index.ts';
import { attention, broken, type CheckResult, good, missing } from './check.ts';

/** Milliseconds for one call: a doctor that hangs is no help. */
const callTimeoutMs = 10_000;

/** All or nothing: with a part of the credentials the server cannot talk to GitHub. */
export async function checkGithub(
  { github: configured, dataDir, server }: Config,
  log: Logger,
): Promise<readonly CheckResult[]> {
  let app: GitHubApp | undefined;
  let where: string;
  try {
    const github = await withStoredApp(configured, dataDir);
    const absent = missingGitHubSettings(github);
    if (absent.length === credentials) return [noApp];
    if (absent.length > 0) {
      const advice = 'docs/reference/configuration.md says where GitHub shows these.';
      return [missing('github', `not set: ${absent.join(', ')}`, advice)];
    }
    app = await openGitHubApp(github, log, { callTimeoutMs });
    where = `App ${github.appId} on ${github.host ?? 'github.com'}`;
  } catch (error) {
    return [broken('github', error)];
  }
  if (!app) return [noApp];
  const inspection = await inspectGitHubApp(app);
  if (inspection.kind === 'failed') return [failed(where, inspection)];
  return [
    good('github', `${where}, ${inspection.name}`),
    ...judgeApp(inspection),
    judgeWebhook(inspection, server.publicUrl),
  ];
}

/** Id, key and secret. */
const credentials = 3;

const noApp = attention(
  'github',
  'no App yet',
  "'ringmaster serve' prints the address of a page that creates one. 'ringmaster run' needs none.",
);

type Known = Extract<AppInspection, { kind: 'known' }>;

function failed(where: string, { failure }: Extract<AppInspection, { kind: 'failed' }>): CheckResult {
  if (failure.kind === 'unauthorized' || failure.kind === 'not-found') {
    const advice =
      'The private key is not one of this App, or was deleted. Make a new one in the settings of the App.';
    return missing('github', `${where}: ${failure.reason}`, advice);
  }
  const advice = 'The App could not be looked at. Reports and checkouts need GitHub, too.';
  return attention('github', `${where}: ${failure.reason}`, advice);
}

function judgeApp({ problems, url }: Known): readonly CheckResult[] {
  if (problems.length === 0) return [good('github app', 'has the permissions and events that are needed')];
  const advice = `Change it on ${url || 'the page of the App'}, App settings, Permissions & events. Who has installed it has to accept new permissions.`;
  return problems.map((problem) => missing('github app', problem, advice));
}

function judgeWebhook({ webhookUrl, url }: Known, publicUrl: string | undefined): CheckResult {
  const name = 'github webhook';
  const place = `on ${url || 'the page of the App'}, App settings, Webhook`;
  if (webhookUrl === undefined) {
    const advice = `Make it active ${place}, with the URL ${publicUrl ?? 'https://…'}${webhooksPath}.`;
    return missing(name, 'GitHub sends messages nowhere', advice);
  }
  const sent = `GitHub sends messages to ${webhookUrl}`;
  const wanted = publicUrl === undefined ? undefined : `${publicUrl}${webhooksPath}`;
  if (wanted !== undefined && webhookUrl !== wanted) {
    // A proxy or a forwarder may stand in between, on purpose.
    const advice = `This server expects them at ${wanted}. Change either ${place}, or server.public_url.`;
    return attention(name, sent, advice);
  }
  if (!new URL(webhookUrl).pathname.endsWith(webhooksPath)) {
    return missing(name, sent, `The URL must end in ${webhooksPath}. Change it ${place}.`);
  }
  return good(name, sent);
}
