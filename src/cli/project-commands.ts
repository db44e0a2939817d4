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
  addRerun(project, perform);
  examples(project, [
    ['ringmaster project list', 'all of them, and which are paused'],
    ['ringmaster project disable acme/hello', 'while somebody finds out what it does to the builders'],
  ]);
}

function addRerun(project: Command, perform: Perform): void {
  const command = project
    .command('rerun')
    .summary('evaluate a commit again')
    .description(
      'Evaluates a commit again and builds what failed once more, as Re-run on GitHub does. What evaluated\n' +
        'well is known, and what was built is there.',
    )
    .argument('<owner/name>', 'its name on GitHub')
    .argument('[commit]', 'a branch, or the beginning of a SHA; the default branch without it')
    .option('--failed', 'only where something failed')
    .option('-A, --attribute <pattern>', 'of what failed, only attributes that fit')
    .option('--json', 'print one JSON document')
    .action(
      (
        name: string,
        commit: string | undefined,
        { failed, attribute, json }: { failed?: boolean; attribute?: string; json?: boolean },
      ) =>
        perform(async (context) => {
          const { rerunProject } = await import('./project-rerun.ts');
          const options = { commit, onlyFailed: failed === true, pattern: attribute, json: json === true };
          return rerunProject(context, name, options);
        }),
    );
  examples(command, [
    ['ringmaster project rerun acme/hello', 'the head of the default branch'],
    ["ringmaster project rerun acme/hello 3f2a91c --failed -A 'checks.*'", 'a part of a commit'],
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
