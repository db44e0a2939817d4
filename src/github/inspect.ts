/** Whether GitHub knows the App that is configured, and whether it may do what Ringmaster does. */
import type { GitHubApp } from './app.ts';
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
    }
  | { readonly kind: 'failed'; readonly failure: GitHubFailure };

const strength = ['none', 'read', 'write', 'admin'];

/** Asks GitHub about the App: one call. For the doctor, and for pages about the set-up. Never rejects. */
export async function inspectGitHubApp(app: GitHubApp): Promise<AppInspection> {
  try {
    const { data } = await (await app.appClient()).request('GET /app');
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
    return { kind: 'known', name: data?.name ?? '', url: data?.html_url ?? '', problems };
  } catch (error) {
    return { kind: 'failed', failure: failureOf(error) };
  }
}
