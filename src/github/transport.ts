/** The outbox' way to GitHub: check runs and commit statuses, every failure as a value. */
import type { Logger } from '../basics/index.ts';
import type {
  Annotation,
  DesiredCheck,
  ReportAddress,
  ReportTransport,
  SendResult,
  StandingCheck,
} from '../reports/index.ts';
import type { GitHubApp, GitHubClient } from './app.ts';
import { failureOf, type GitHubFailure } from './failures.ts';

/** What one call may carry; GitHub refuses more. */
const annotationsPerCall = 50;
/** Pages of 100 runs; no revision has more runs of ours. */
const mostPages = 3;
/** Milliseconds before its end at which a token is not used any more. */
const renewBeforeMs = 5 * 60_000;

/**
 * Seconds of pause for what an operator or an owner has to put right. A token made a moment ago is not
 * known to all of GitHub's servers at once.
 */
const pauses = { token: 15, credentials: 60, permissions: 600, suspended: 3600 } as const;

interface Client {
  readonly client: GitHubClient;
  readonly expiresAt: Date;
}

/**
 * Sends reports in the name of installations. A call carries the first 50 annotations it is given;
 * more of them are further updates.
 */
export function createReportTransport(app: GitHubApp, log: Logger): ReportTransport {
  const clients = new Map<number, Promise<Client>>();

  async function clientOf(installationId: number): Promise<Client> {
    const known = clients.get(installationId);
    if (known) {
      const client = await known;
      if (client.expiresAt.getTime() - Date.now() > renewBeforeMs) return client;
      await forget(installationId, client);
      return clientOf(installationId);
    }
    const minted = app
      .mintToken(installationId, { permissions: { checks: 'write', statuses: 'write' } })
      .then(({ token, expiresAt }) => ({ client: app.clientFor(token), expiresAt }));
    clients.set(installationId, minted);
    minted.catch(() => clients.delete(installationId));
    return minted;
  }

  /** Calls run side by side: whoever comes late must not throw away the token that replaced this one. */
  async function forget(installationId: number, client: Client): Promise<void> {
    const known = clients.get(installationId);
    if ((await known?.catch(() => undefined)) === client && clients.get(installationId) === known) {
      clients.delete(installationId);
    }
  }

  async function send(
    installationId: number,
    missing: 'gone' | 'refused',
    call: (client: GitHubClient) => Promise<number | undefined>,
    renewed = false,
  ): Promise<SendResult> {
    let client: Client;
    try {
      client = await clientOf(installationId);
    } catch (error) {
      return withoutToken(failureOf(error));
    }
    try {
      return { kind: 'sent', githubId: await call(client.client) };
    } catch (error) {
      const failure = failureOf(error);
      if (failure.kind !== 'unauthorized' || renewed) return withToken(failure, missing);
      log.debug({ installation: installationId }, 'GitHub does not accept the token any more');
      await forget(installationId, client);
      return send(installationId, missing, call, true);
    }
  }

  return {
    createCheck: (address, check, externalId) =>
      send(address.installationId, 'refused', async (client) => {
        const { data } = await client.request('POST /repos/{owner}/{repo}/check-runs', {
          ...target(address),
          ...checkBody(check, check.annotations),
          name: check.name,
          head_sha: address.sha,
          external_id: externalId,
        });
        return Number(data.id);
      }),

    updateCheck: (address, githubId, check, newAnnotations) =>
      send(address.installationId, 'gone', async (client) => {
        const { data } = await client.request('PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}', {
          ...target(address),
          ...checkBody(check, newAnnotations),
          name: check.name,
          check_run_id: githubId,
        });
        return Number(data.id);
      }),

    findCheck: async (address, name, externalId) => {
      let annotationCount: number | undefined;
      const result = await send(address.installationId, 'refused', async (client) => {
        const { data } = await client.request('GET /repos/{owner}/{repo}/commits/{ref}/check-runs', {
          ...target(address),
          ref: address.sha,
          check_name: name,
          app_id: app.appId,
          filter: 'all',
          // One name has few runs on one commit; the newest come first.
          per_page: 100,
        });
        const found = data.check_runs.find((run) => run.external_id === externalId && run.name === name);
        annotationCount = found?.output.annotations_count;
        return found && Number(found.id);
      });
      if (result.kind !== 'sent') return result;
      if (result.githubId === undefined)
        return { kind: 'gone', reason: `GitHub has no run '${name}' of ours.` };
      return annotationCount === undefined ? result : { ...result, annotationCount };
    },

    listChecks: async (address) => {
      const checks: StandingCheck[] = [];
      const result = await send(address.installationId, 'refused', async (client) => {
        for (let page = 1; page <= mostPages; page++) {
          const { data } = await client.request('GET /repos/{owner}/{repo}/commits/{ref}/check-runs', {
            ...target(address),
            ref: address.sha,
            app_id: app.appId,
            filter: 'latest',
            per_page: 100,
            page,
          });
          for (const { id, status, conclusion } of data.check_runs) {
            checks.push({ id: Number(id), status, conclusion });
          }
          if (data.check_runs.length < 100) break;
        }
        return undefined;
      });
      return result.kind === 'sent' ? { kind: 'listed', checks } : { kind: 'failed', reason: result.reason };
    },

    setStatus: (address, status) =>
      send(address.installationId, 'refused', async (client) => {
        const { data } = await client.request('POST /repos/{owner}/{repo}/statuses/{sha}', {
          ...target(address),
          sha: address.sha,
          context: status.name,
          state: status.state,
          description: status.description,
          target_url: status.targetUrl,
        });
        return Number(data.id);
      }),
  };
}

function target(address: ReportAddress): { owner: string; repo: string } {
  return { owner: address.owner, repo: address.name };
}

function checkBody(check: DesiredCheck, annotations: readonly Annotation[]) {
  return {
    status: check.status,
    ...(check.conclusion ? { conclusion: check.conclusion } : {}),
    ...(check.startedAt ? { started_at: check.startedAt } : {}),
    ...(check.completedAt ? { completed_at: check.completedAt } : {}),
    details_url: check.detailsUrl,
    // Also when there are none: GitHub keeps those it had.
    ...(check.actions ? { actions: [...check.actions] } : {}),
    output: {
      title: check.title,
      summary: check.summary,
      ...(check.text === undefined ? {} : { text: check.text }),
      annotations: annotations.slice(0, annotationsPerCall).map(annotationBody),
    },
  };
}

function annotationBody(annotation: Annotation) {
  const oneLine = annotation.startLine === annotation.endLine;
  return {
    path: annotation.path,
    start_line: annotation.startLine,
    end_line: annotation.endLine,
    // GitHub takes columns only for annotations of a single line.
    ...(annotation.startColumn !== undefined && oneLine
      ? { start_column: annotation.startColumn, end_column: annotation.startColumn }
      : {}),
    annotation_level: annotation.level,
    ...(annotation.title === undefined ? {} : { title: annotation.title }),
    message: annotation.message,
  };
}

/** A call with a good token failed. */
function withToken(failure: GitHubFailure, missing: 'gone' | 'refused'): SendResult {
  const { reason, afterSeconds } = failure;
  switch (failure.kind) {
    case 'rate-limited':
      return { kind: 'later', reason, afterSeconds, installationWide: true };
    case 'unavailable':
      return { kind: 'later', reason, afterSeconds, installationWide: false };
    case 'unauthorized':
      return { kind: 'later', reason, afterSeconds: pauses.token, installationWide: true };
    case 'not-found':
      return missing === 'gone' ? { kind: 'gone', reason } : { kind: 'refused', reason, misplaced: true };
    case 'forbidden':
      if (!/suspended/i.test(reason)) return { kind: 'refused', reason, misplaced: true };
      return { kind: 'later', reason, afterSeconds: pauses.suspended, installationWide: true };
    case 'invalid':
      return { kind: 'refused', reason, ...(/no commit found/i.test(reason) ? { misplaced: true } : {}) };
  }
}

/** No token could be had, which concerns everything of the installation. */
function withoutToken(failure: GitHubFailure): SendResult {
  const later = (reason: string, afterSeconds: number | undefined): SendResult => ({
    kind: 'later',
    reason,
    afterSeconds,
    installationWide: true,
  });
  switch (failure.kind) {
    case 'rate-limited':
    case 'unavailable':
      return later(failure.reason, failure.afterSeconds);
    case 'unauthorized':
      return later(`The GitHub App's key or our clock is wrong. ${failure.reason}`, pauses.credentials);
    case 'forbidden':
      return later(failure.reason, pauses.suspended);
    case 'invalid':
      return later(
        `The account has not granted the App 'checks: write' and 'statuses: write'. ${failure.reason}`,
        pauses.permissions,
      );
    case 'not-found':
      return {
        kind: 'refused',
        reason: `The App is not installed there any more. ${failure.reason}`,
        misplaced: true,
      };
  }
}
