/** `ringmaster project …`. Their code is loaded when one of them runs. */
import type { Command } from 'commander';
import { examples, type Perform } from './command-parts.ts';

export function addProjectCommands(program: Command, perform: Perform): void {
  const project = program
    .command('project')
    .summary('the repositories under CI')
    .description(
      'Shows the repositories under CI, and pauses them. They come and go with the installation of the\n' +
        'GitHub App.',
    );
  const list = project
    .command('list')
    .summary('print all projects')
    .description('Prints all projects, by name.')
    .option('--json', 'print one JSON document')
    .action((options: { json?: boolean }) =>
      perform(async (context) => {
        const { listProjects } = await import('./project.ts');
        return listProjects(context, { json: options.json === true });
      }),
    );
  examples(list, [['ringmaster project list --json', 'for programs']]);
  addChange(project, perform, {
    enabled: false,
    summary: 'evaluate nothing more of a project',
    description:
      'Pauses a project: what is pushed there is not evaluated, and GitHub is told nothing of it. What is\n' +
      'under way goes on to its end, and results stay.',
  });
  addChange(project, perform, {
    enabled: true,
    summary: 'let a paused project go on',
    description:
      'Lets a paused project go on, with the next push: what was pushed meanwhile is not made up for.',
  });
  examples(project, [
    ['ringmaster project list', 'all of them, and which are paused'],
    ['ringmaster project disable acme/hello', 'while somebody finds out what it does to the builders'],
  ]);
}

interface Change {
  readonly enabled: boolean;
  readonly summary: string;
  readonly description: string;
}

function addChange(project: Command, perform: Perform, change: Change): void {
  const word = change.enabled ? 'enable' : 'disable';
  const command = project
    .command(word)
    .summary(change.summary)
    .description(change.description)
    .argument('<owner/name>', 'its name on GitHub')
    .option('--json', 'print one JSON document')
    .action((name: string, options: { json?: boolean }) =>
      perform(async (context) => {
        const { changeProject } = await import('./project.ts');
        return changeProject(context, name, { enabled: change.enabled, json: options.json === true });
      }),
    );
  examples(command, [[`ringmaster project ${word} acme/hello`, change.summary]]);
}
