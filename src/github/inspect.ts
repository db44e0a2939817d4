/** Whether GitHub knows the App that is configured, and whether it may do what Ringmaster does. */
import type { GitHubApp, GitHubClient } from './app.ts';
import { failureOf, type GitHubFailure } from './failures.ts';

/** As in app.yml. */
export const neededPermissions = {
  checks: 'write',
  contents: 'read',
  metadata: 'read',
  merge_queues: 'read',
  pull_requests: 'write',
  statuses: 'write',
} as const;

/** Those that GitHub sends only to Apps that ask for them; as in app.yml. */
export const neededEvents = ['issue_comment', 'merge_group', 'pull_request', 'push', 'repository'] as const;

export type AppInspection =
  | {
      readonly kind: 'known';
      readonly name: string;
      /** The App's page, from which it is installed. */
      readonly url: string;
      /** What has to be changed in the App's settings, as sentences. */
      readonly problems: readonly string[];
      /** Where GitHub sends messages; undefined: nowhere, or it does not tell. */
      readonly webhookUrl: string | undefined;
    }
  | { readonly kind: 'failed'; readonly failure: GitHubFailure };

const strength = ['none', 'read', 'write', 'admin'];

/** Asks GitHub about the App: two calls. For the doctor, and for pages about the set-up. Never rejects. */
export async function inspectGitHubApp(app: GitHubApp): Promise<AppInspection> {
  try {
    const client = await app.appClient();
    const { data } = await client.request('GET /app');
    const granted = new Map<string, unknown>(Object.entries(data?.permissions ?? {}));
    const events = new Set(data?.events ?? []);
    const problems = [
      ...Object.entries(neededPermissions)
        .filter(([name, level]) => strength.indexOf(String(granted.get(name))) < strength.indexOf(level))
        .map(([name, level]) => `The App needs the permission '${name}: ${level}'.`),
      ...neededEvents
        .filter((event) => !events.has(event))
        .map((event) => `The App has to subscribe to the event '${event}'.`),
    ];
    const webhookUrl = await webhookUrlOf(client);
    return { kind: 'known', name: data?.name ?? '', url: data?.html_url ?? '', problems, webhookUrl };
  } catch (error) {
    return { kind: 'failed', failure: failureOf(error) };
  }
}

/** An App whose webhook was never active has no configuration of one: GitHub answers 404. */
async function webhookUrlOf(client: GitHubClient): Promise<string | undefined> {
  try {
    const { data } = await client.request('GET /app/hook/config');
    return data.url || undefined;
  } catch (error) {
    if (failureOf(error).kind === 'not-found') return undefined;
    throw error;
  }
}
