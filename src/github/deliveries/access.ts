/** Deliveries about which repositories we may see, and what they are called. */
import {
  findInstallation,
  markInstallationDeleted,
  markRemoved,
  noteMayCommit,
  setInstallationSuspended,
  upsertInstallation,
  upsertProject,
} from '../../projects/index.ts';
import { endPause, resumeReports } from '../../reports/index.ts';
import type { DeliveryContext } from './context.ts';
import type {
  InstallationPayload,
  InstallationRepositoriesPayload,
  RepositoryEventPayload,
} from './payloads.ts';
import { projectOf } from './project-of.ts';

/** The App was installed, uninstalled, suspended or let in again. */
export async function handleInstallation(
  context: DeliveryContext,
  payload: InstallationPayload,
): Promise<string> {
  const { trx, receivedAt } = context;
  const { action, installation } = payload;
  const known = await findInstallation(trx, installation.id);
  // Its account is gone with it; ids are never used again, so this is old news.
  if (known?.deleted) return 'Ignored: that installation has been deleted.';
  const { id, accountLogin } = await upsertInstallation(
    trx,
    installation.id,
    installation.account || (known?.accountLogin ?? ''),
  );
  switch (action) {
    case 'created': {
      await addProjects(context, id, payload.repositories ?? []);
      await resumeReports(trx, id);
      return `Installed on ${accountLogin}: ${count(payload.repositories?.length ?? 0)}.`;
    }
    case 'deleted': {
      const resting = await markInstallationDeleted(trx, id, receivedAt);
      return `Uninstalled from ${accountLogin}: ${count(resting)} at rest.`;
    }
    case 'suspend':
    case 'unsuspend': {
      await setInstallationSuspended(trx, id, action === 'suspend');
      if (action === 'unsuspend') {
        await endPause(trx, id);
        await resumeReports(trx, id);
      }
      return `The installation on ${accountLogin} was ${action}ed.`;
    }
    case 'new_permissions_accepted': {
      await noteMayCommit(trx, id, undefined);
      await endPause(trx, id);
      await resumeReports(trx, id);
      return `New permissions on ${accountLogin}.`;
    }
    default:
      return `Noted: installation on ${accountLogin}, ${action}.`;
  }
}

/** Repositories were added to an installation or taken from it. */
export async function handleInstallationRepositories(
  context: DeliveryContext,
  payload: InstallationRepositoriesPayload,
): Promise<string> {
  const known = await findInstallation(context.trx, payload.installation.id);
  if (known?.deleted) return 'Ignored: that installation has been deleted.';
  const account = payload.installation.account || (known?.accountLogin ?? '');
  const { id } = await upsertInstallation(context.trx, payload.installation.id, account);
  await addProjects(context, id, payload.repositories_added);
  if (payload.repositories_added.length > 0) await resumeReports(context.trx, id);
  const removed = await markRemoved(context.trx, {
    githubRepositoryIds: payload.repositories_removed.map((repository) => repository.id),
    installationId: id,
    asOf: context.receivedAt,
  });
  return `${account}: ${count(payload.repositories_added.length)} added, ${count(removed)} at rest.`;
}

/** Actions after which GitHub may take what it refused before. */
const changesReach = new Set(['transferred', 'unarchived', 'renamed', 'publicized', 'privatized']);

/** A repository got another name, owner, default branch or visibility, or is gone. */
export async function handleRepository(
  context: DeliveryContext,
  payload: RepositoryEventPayload,
): Promise<string> {
  const { action, repository, installation } = payload;
  const name = `${repository.full_name.owner}/${repository.full_name.name}`;
  if (action === 'deleted') {
    if (!installation) return `Ignored: ${name} sent it by itself, not through the App's installation.`;
    await markRemoved(context.trx, {
      githubRepositoryIds: [repository.id],
      installationId: installation.id,
      asOf: context.receivedAt,
    });
    return `${name} was deleted and is at rest.`;
  }
  const project = await projectOf(context, payload, { mayMove: action === 'transferred' });
  if (typeof project === 'string') return project;
  if (changesReach.has(action)) await resumeReports(context.trx, project.installationId);
  return `Noted: ${project.owner}/${project.name} was ${action}.`;
}

async function addProjects(
  context: DeliveryContext,
  installationId: number,
  repositories: InstallationRepositoriesPayload['repositories_added'],
): Promise<void> {
  // In one order everywhere, so that two deliveries never wait for each other's rows.
  for (const repository of repositories.toSorted((a, b) => a.id - b.id)) {
    await upsertProject(context.trx, {
      githubRepositoryId: repository.id,
      installationId,
      ...repository.full_name,
      private: repository.private,
      defaultBranch: undefined,
      asOf: context.receivedAt,
      enable: true,
    });
  }
}

function count(repositories: number): string {
  return repositories === 1 ? '1 repository' : `${repositories} repositories`;
}
