/**
 * The commands with their options and help. Nothing here does any work: the code of a command is
 * loaded when it runs, so that `--help` and `--version` are quick.
 */
import { Command } from 'commander';
import { addAgentCommands } from './agent-commands.ts';
import { addBuildCommands } from './build-commands.ts';
import { addCacheCommands } from './cache-commands.ts';
import { examples, type Perform, portNumber, wholeNumber } from './command-parts.ts';
import type { CommandBody, GlobalOptions, ServeFlags } from './context.ts';
import { addNotificationCommands } from './notification-commands.ts';
import { addProjectCommands } from './project-commands.ts';

export interface ProgramHost {
  readonly version: string;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Runs the chosen command. */
  readonly perform: (options: GlobalOptions, body: CommandBody) => Promise<void>;
}

/** The whole command line. */
export function createProgram(host: ProgramHost): Command {
  const program = new Command('ringmaster')
    .description('Continuous integration for Nix repositories on GitHub.')
    .option('--config <file>', 'read this configuration file')
    .option('--verbose', 'say more: debug messages on stderr, build logs while they are written')
    .option('--quiet', 'say less: one line an event, errors only')
    .option('--no-color', 'no colours (so does NO_COLOR; FORCE_COLOR=1 forces them)')
    .version(host.version, '-V, --version', 'print version, commit and Node version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help of a command')
    .exitOverride()
    .configureOutput({ writeOut: host.stdout, writeErr: host.stderr })
    .configureHelp({
      showGlobalOptions: true,
      // Broken where the terminal ends, and nowhere else.
      commandDescription: (command) => command.description().replace(/(?<!\n)\n(?!\n)/g, ' '),
    });
  const perform = (body: CommandBody) => host.perform(globalOptionsOf(program), body);

  addRun(program, perform);
  addServe(program, perform);
  addDoctor(program, perform);
  addMigrate(program, perform);
  addConfig(program, perform);
  addAgentCommands(program, perform);
  addCacheCommands(program, perform);
  addBuildCommands(program, perform);
  addProjectCommands(program, perform);
  addNotificationCommands(program, perform);
  examples(program, [
    ['ringmaster run', 'evaluate and build the repository in this folder'],
    ['ringmaster serve', 'start the server on http://127.0.0.1:3000'],
    ['ringmaster doctor', 'say what is missing on this machine'],
  ]);
  program.addHelpText(
    'after',
    '\nExit status: 0 good, 1 something failed, 2 wrong usage, 3 configuration or a\n' +
      'missing program, 130 and 143 after SIGINT and SIGTERM.\n\n' +
      'Commands that look at a server find its database as it does: by\n' +
      'RINGMASTER_DATA_DIR, DATABASE_URL, ringmaster.toml or --config.',
  );
  hintAtHelp(program, []);
  return program;
}

/** After wrong usage each command points to its own help. */
function hintAtHelp(command: Command, parents: readonly string[]): void {
  const names = [...parents, command.name()];
  command.showHelpAfterError(`hint: '${names.join(' ')} --help' shows what there is.`);
  for (const child of command.commands) hintAtHelp(child, names);
}

/** The options given before or after the command's name. */
export function globalOptionsOf(program: Command): GlobalOptions {
  const given: { config?: string; verbose?: boolean; quiet?: boolean; color?: boolean } = program.opts();
  return {
    verbose: given.verbose === true,
    quiet: given.quiet === true,
    color: given.color !== false,
    ...(given.config === undefined ? {} : { config: given.config }),
  };
}

function addRun(program: Command, perform: Perform): void {
  const command = program
    .command('run')
    .summary('evaluate and build a checkout here, as the server would')
    .description(
      'Evaluates nix/ci.nix, ci.nix or default.nix of a checkout, or flake.nix where there is none of them, and\n' +
        'builds every attribute, as the server would, without a server, a database or GitHub. One that fails\n' +
        'stops no other: what failed is told again at the end, with the end of its log.\n\n' +
        'Every derivation at the top is an attribute, and so are those in sets with recurseForDerivations = true.\n\n' +
        'In a git checkout it sees what a commit of everything would hold: uncommitted changes and new files,\n' +
        'but nothing that git ignores. Any other folder is taken as it is.',
    )
    .argument('[path]', 'the checkout', '.')
    .option('--json', 'print one JSON object a line on stdout')
    .option('--no-build', 'stop after the evaluation')
    .option(
      '-A, --attribute <pattern>',
      'only attributes whose path fits; * and ? stand for anything, and it may be given again',
      (pattern: string, earlier: readonly string[] = []) => [...earlier, pattern],
    )
    .option(
      '-j, --jobs <n>',
      'builds at the same time (default: builds.slots of the configuration)',
      wholeNumber,
    )
    .action(
      (path: string, options: { json?: boolean; build: boolean; attribute?: string[]; jobs?: number }) =>
        perform(async (context) => {
          const { run } = await import('./run.ts');
          return run(context, {
            path,
            json: options.json === true,
            build: options.build,
            ...(options.attribute === undefined ? {} : { attributes: options.attribute }),
            ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
          });
        }),
    );
  examples(command, [
    ['ringmaster run', 'the repository in this folder'],
    ['ringmaster run ~/src/hello --no-build', 'only evaluate'],
    ["ringmaster run -A 'checks.*'", 'a part of it'],
    ['ringmaster run --json | jq \'select(.type == "build" and .status == "failed")\'', 'for programs'],
  ]);
  command.addHelpText(
    'after',
    '\nExit status: 0 all good, 1 an evaluation error or a failed build, 2 wrong usage,\n' +
      "3 something is missing or misconfigured: 'ringmaster doctor' says what to do.",
  );
}

function addServe(program: Command, perform: Perform): void {
  const command = program
    .command('serve')
    .summary('start the server')
    .description(
      'Starts the server: webhooks, evaluations, builds, reports to GitHub, pages and API. Without any\n' +
        'configuration it brings its own PostgreSQL and builds on this machine.',
    )
    .option('--port <n>', 'listen on this port (also PORT)', portNumber)
    .option('--host <address>', 'listen on this address (also HOST)')
    .option('--data-dir <dir>', 'keep everything here (also RINGMASTER_DATA_DIR)')
    .option('--roles <list>', 'run only these roles, separated by commas')
    .action((options: ServeFlags) =>
      perform(async (context) => {
        const { serve } = await import('./serve.ts');
        return serve(context, options);
      }),
    );
  examples(command, [
    ['ringmaster serve', 'everything in one process'],
    ['DATABASE_URL=postgres://… ringmaster serve --roles web,scheduler', 'some roles, shared database'],
  ]);
}

function addDoctor(program: Command, perform: Perform): void {
  const command = program
    .command('doctor')
    .summary('say what is missing on this machine')
    .description(
      'Checks everything a server or `ringmaster run` needs, and says what to do about what is missing.',
    )
    .option('--json', 'print one JSON document')
    .action((options: { json?: boolean }) =>
      perform(async (context) => {
        const { doctor } = await import('./doctor.ts');
        return doctor(context, { json: options.json === true });
      }),
    );
  examples(command, [['ringmaster doctor', 'exit status 3 when something needed is missing']]);
}

function addMigrate(program: Command, perform: Perform): void {
  const command = program
    .command('migrate')
    .summary('bring the database to the state this version needs')
    .description('Brings the database to the state this version needs.');
  const up = command
    .command('up')
    .summary('apply what is pending')
    .description('Applies the pending migrations. The server does this by itself when it starts.')
    .option('--json', 'print one JSON document')
    .action((options: { json?: boolean }) =>
      perform(async (context) => {
        const { migrateUp } = await import('./migrate.ts');
        return migrateUp(context, { json: options.json === true });
      }),
    );
  const status = command
    .command('status')
    .summary('print what is applied and what is pending')
    .description('Prints which migrations are applied and which are pending.')
    .option('--json', 'print one JSON document')
    .action((options: { json?: boolean }) =>
      perform(async (context) => {
        const { migrateStatus } = await import('./migrate.ts');
        return migrateStatus(context, { json: options.json === true });
      }),
    );
  examples(command, [['DATABASE_URL=postgres://… ringmaster migrate up', 'before a new version starts']]);
  examples(up, [['ringmaster migrate up', 'of the database that is configured, or the built-in one']]);
  examples(status, [['ringmaster migrate status', 'exit status 1 when something is pending']]);
}

function addConfig(program: Command, perform: Perform): void {
  const command = program
    .command('config')
    .summary('read the configuration')
    .description('Reads the configuration.');
  const show = command
    .command('show')
    .summary('print every value in force and its source')
    .description('Prints every value that is in force and where it came from. Secrets are masked.')
    .option('--json', 'print one JSON document')
    .action((options: { json?: boolean }) =>
      perform(async (context) => {
        const { configShow } = await import('./config.ts');
        return configShow(context, { json: options.json === true });
      }),
    );
  const lines = [
    ['ringmaster config show --config ./ringmaster.toml', 'as a server with that file would see it'],
  ] as const;
  examples(command, lines);
  examples(show, lines);
}
