/** The state in words: what a failed wait prints. */
import type { Journal } from './journal.ts';
import { latestStatuses } from './statuses.ts';
import type { Webhooks } from './webhooks.ts';
import { fullName, type Repository, type World } from './world.ts';

/** Commits with their checks and statuses, the last deliveries and calls. */
export function describeState(world: World, journal: Journal, webhooks: Webhooks): string {
  const deliveries = webhooks.deliveries
    .slice(-15)
    .map(
      (one) =>
        `  ${one.event}${one.action ? `.${one.action}` : ''} -> ${one.statusCode ?? 'pending'} ${one.status}`,
    );
  return [
    ...[...world.repositories.values()].flatMap(describeRepository),
    `deliveries (last ${deliveries.length} of ${webhooks.deliveries.length}):`,
    ...deliveries,
    `calls (last 40 of ${journal.calls.length}):`,
    journal.text(40),
  ].join('\n');
}

function describeRepository(repository: Repository): readonly string[] {
  const shas = new Set([
    ...repository.runs.map(({ headSha }) => headSha),
    ...repository.statuses.map(({ sha }) => sha),
  ]);
  return [
    `${fullName(repository)}:${shas.size === 0 ? ' no checks, no statuses' : ''}`,
    ...[...shas].flatMap((sha) => [
      `  ${sha}`,
      ...repository.runs
        .filter(({ headSha }) => headSha === sha)
        .map(
          (run) =>
            `    check ${run.id} '${run.name}': ${run.conclusion ?? run.status}${run.title ? ` (${run.title})` : ''}`,
        ),
      ...latestStatuses(repository, sha).map(
        (status) => `    status '${status.context}': ${status.state} (${status.description ?? ''})`,
      ),
    ]),
  ];
}
