/** `ringmaster project list|enable|disable`. */
import { exitStatus, OperatorError } from '../basics/index.ts';
import type { Knex } from '../postgres/index.ts';
import {
  findProjectByName,
  listProjects as list,
  type Project,
  setProjectEnabled,
} from '../projects/index.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { withServerDatabase } from './database.ts';
import { formatTable } from './terminal/table.ts';
import { plainLine } from './terminal/text.ts';

interface Options {
  readonly json: boolean;
}

export async function listProjects(context: CommandContext, { json }: Options): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    const projects = await list(knex);
    if (json) context.stdout.write(`${JSON.stringify({ projects: projects.map(shape) })}\n`);
    else if (projects.length === 0) {
      context.stdout.write('There is no project. Install the GitHub App on a repository to have one.\n');
    } else {
      const rows = projects.map((project) => [
        plainLine(nameOf(project)),
        stateOf(project),
        project.private ? 'private' : 'public',
        plainLine(project.defaultBranch),
      ]);
      const head = ['NAME', 'STATE', 'ON GITHUB', 'DEFAULT BRANCH'];
      context.stdout.write(`${formatTable(rows, context.style, head).join('\n')}\n`);
    }
    return exitStatus.ok;
  });
}

export async function changeProject(
  context: CommandContext,
  name: string,
  { enabled, json }: Options & { readonly enabled: boolean },
): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    const known = await needProject(knex, name);
    if (!(await setProjectEnabled(knex, known.id, enabled))) throw unknownProject(name);
    const whole = nameOf(known);
    if (json) context.stdout.write(`${JSON.stringify({ id: known.id, name: whole, enabled })}\n`);
    else if (!context.options.quiet) {
      const outcome = enabled ? 'goes on with the next push' : 'paused, nothing more is evaluated';
      context.stdout.write(`${plainLine(whole)}: ${outcome}\n`);
    }
    return exitStatus.ok;
  });
}

/** By its name on GitHub; a name that is none is told what there is. */
export async function needProject(knex: Knex, name: string): Promise<Project> {
  const parts = name.split('/');
  const [owner = '', repository = ''] = parts;
  const known = parts.length === 2 ? await findProjectByName(knex, owner, repository) : undefined;
  if (!known) throw unknownProject(name);
  return known;
}

function unknownProject(name: string): OperatorError {
  return new OperatorError({
    code: 'no-such-project',
    message: `There is no project '${name}'.`,
    hint: "It is OWNER/NAME as on GitHub; 'ringmaster project list' shows those there are.",
  });
}

function nameOf({ owner, name }: Project): string {
  return `${owner}/${name}`;
}

/** The words of the project's page. */
function stateOf({ enabled, pausedAt }: Project): string {
  if (enabled) return 'enabled';
  return pausedAt === undefined ? 'not installed' : 'paused';
}

function shape(project: Project) {
  const { id, githubRepositoryId, defaultBranch, enabled, pausedAt } = project;
  return {
    id,
    githubRepositoryId,
    owner: project.owner,
    name: project.name,
    private: project.private,
    defaultBranch,
    enabled,
    pausedAt: pausedAt?.toISOString() ?? null,
  };
}
