/** From the repository and installation that a payload names to the project it is about. */
import {
  findInstallation,
  findProjectByRepository,
  type Project,
  upsertInstallation,
  upsertProject,
} from '../../projects/index.ts';
import type { RepositoryPlace } from '../questions.ts';
import type { DeliveryContext } from './context.ts';
import type { RepositoryPayload } from './payloads.ts';

/** Where questions about a repository are asked. */
export function placeOf(repository: RepositoryPayload, installationId: number): RepositoryPlace {
  return { installationId, repositoryId: repository.id, ...repository.full_name };
}

/**
 * The project a delivery is about, brought up to date by it, or why there is none.
 *
 * Only messages about the installation itself move a project to another installation. Another
 * message that names a foreign one came before that news: it throws and is tried again later.
 */
export async function projectOf(
  context: DeliveryContext,
  payload: {
    readonly repository: RepositoryPayload;
    readonly installation?: { readonly id: number } | undefined;
  },
  options: { readonly mayMove?: boolean } = {},
): Promise<Project | string> {
  const { repository, installation } = payload;
  const { owner, name } = repository.full_name;
  if (!installation)
    return `Ignored: ${owner}/${name} sent it by itself, not through the App's installation.`;
  if (!options.mayMove) await refuseForeignInstallation(context, repository, installation.id);
  const known = await findInstallation(context.trx, installation.id);
  if (known?.deleted) return `Ignored: the App has been uninstalled from ${known.accountLogin || owner}.`;
  if (!known) await upsertInstallation(context.trx, installation.id, owner);
  return upsertProject(context.trx, {
    githubRepositoryId: repository.id,
    installationId: installation.id,
    owner,
    name,
    private: repository.private,
    defaultBranch: repository.default_branch,
    asOf: context.receivedAt,
  });
}

async function refuseForeignInstallation(
  { trx }: DeliveryContext,
  repository: RepositoryPayload,
  installationId: number,
): Promise<void> {
  const project = await findProjectByRepository(trx, repository.id);
  if (!project || project.installationId === installationId) return;
  const current = await findInstallation(trx, project.installationId);
  if (current?.deleted) return;
  throw new Error(
    `The delivery names installation ${installationId}, but ${project.owner}/${project.name} belongs to installation ${project.installationId}.`,
  );
}
