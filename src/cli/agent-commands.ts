/** `ringmaster agent` and `ringmaster builder …`. Their code is loaded when one of them runs. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { AgentFlags } from './agent.ts';
import type { SetBuilderFlags } from './builder.ts';
import type { AddBuilderFlags } from './builder-add.ts';
import { examples, type Perform, wholeNumber } from './command-parts.ts';

export function addAgentCommands(program: Command, perform: Perform): void {
  addAgent(program, perform);
  const builder = program
    .command('builder')
    .summary('manage the machines that build')
    .description('Manages the machines that build.');
  addAdd(builder, perform);
  addList(builder, perform);
  addShow(builder, perform);
  addSet(builder, perform);
  addChanges(builder, perform);
  addToken(builder, perform);
  examples(builder, [
    ['ringmaster builder add mars --slots 8', 'register an agent; prints its token and command line'],
    ['ringmaster builder list', 'all of them, and how they are'],
  ]);
}

function addAgent(program: Command, perform: Perform): void {
  const command = program
    .command('agent')
    .summary('build on this machine for a server')
    .description(
      'Builds on this machine for a server, which it dials: it needs Nix, Node and a way out to the server ' +
        '(through HTTPS_PROXY or HTTP_PROXY where they are set), no database and no open port. ' +
        'SIGTERM lets builds finish; a second one stops them.',
    )
    .requiredOption('--server <url>', 'address of the server')
    .option('--token-file <file>', "file with the token that 'ringmaster builder add' has printed")
    .option(
      '--token <token>',
      'the token itself (others on this machine can see it; also RINGMASTER_AGENT_TOKEN)',
    )
    .option('--name <name>', 'name of this machine, for people (default: its host name)')
    .option('--slots <n>', 'builds at the same time (default: the number of processor cores)', wholeNumber)
    .option('--state-dir <dir>', 'keep logs that wait for the server here')
    .option('--store <dir>', 'build in a store of its own in this folder')
    .option('--sandbox <mode>', "'required', or 'off' where Nix's sandbox cannot work", 'required')
    .option('--cache-key <key...>', "take inputs only with a signature of this key ('ringmaster cache key')")
    .option('--max-builds <n>', 'end after so many builds', wholeNumber)
    .option('--max-idle <seconds>', 'end after so many seconds without a build', seconds)
    .option('--max-lifetime <seconds>', 'take no more builds after so many seconds', seconds)
    .action((options: AgentFlags) =>
      perform(async (context) => {
        const { agent } = await import('./agent.ts');
        return agent(context, options);
      }),
    );
  examples(command, [
    ['ringmaster agent --server https://ci.example.org --token-file ./token', 'until it is stopped'],
    [
      'ringmaster agent --server … --token-file … --max-builds 1',
      'one build, for machines that are made for it',
    ],
  ]);
}

function addAdd(builder: Command, perform: Perform): void {
  const command = builder
    .command('add')
    .summary('register a machine')
    .description(
      'Registers a machine that builds. Without --uri it is one where `ringmaster agent` will run: its token\n' +
        'is printed once. What it offers by itself is limited by --systems, --features and --slots.',
    )
    .argument('<name>', 'its name')
    .option('--uri <uri>', 'reach it over SSH: ssh-ng://[USER@]HOST')
    .option('--systems <list>', 'systems it may build for, separated by commas')
    .option('--features <list>', 'features it may offer')
    .option('--mandatory-features <list>', 'it takes only builds that require all of these')
    .option('--slots <n>', 'builds at the same time', wholeNumber)
    .option('--speed <factor>', 'compared with the others: 2 is twice as fast', factor)
    .option('--trust <list>', 'trust domains whose builds it may see (default: trusted)')
    .option('--server <url>', 'address of this server, for the command line that is printed')
    .option('--json', 'print one JSON document')
    .action((name: string, options: AddBuilderFlags) =>
      perform(async (context) => {
        const { addBuilder } = await import('./builder-add.ts');
        return addBuilder(context, name, options);
      }),
    );
  examples(command, [
    ['ringmaster builder add mars --slots 8', 'an agent'],
    ['ringmaster builder add venus --uri ssh-ng://nix@venus --systems aarch64-linux --slots 4', 'over SSH'],
  ]);
}

function addList(builder: Command, perform: Perform): void {
  const command = builder
    .command('list')
    .summary('print all builders')
    .description('Prints all builders and how they are.')
    .option('--json', 'print one JSON document')
    .action((options: { json?: boolean }) =>
      perform(async (context) => {
        const { listBuilders } = await import('./builder.ts');
        return listBuilders(context, { json: options.json === true });
      }),
    );
  examples(command, [['ringmaster builder list --json', 'for programs']]);
}

function addShow(builder: Command, perform: Perform): void {
  const command = builder
    .command('show')
    .summary('print what is known of a builder')
    .description('Prints what is known of a builder.')
    .argument('<name>', 'its name')
    .option('--json', 'print one JSON document')
    .action((name: string, options: { json?: boolean }) =>
      perform(async (context) => {
        const { showBuilder } = await import('./builder.ts');
        return showBuilder(context, name, { json: options.json === true });
      }),
    );
  examples(command, [['ringmaster builder show mars', 'its load, too, if it is an agent']]);
}

function addSet(builder: Command, perform: Perform): void {
  const command = builder
    .command('set')
    .summary('change what a builder has')
    .description(
      'Changes what a builder has that was registered by hand; what runs there goes on. Of an agent, --systems,\n' +
        "--features and --slots limit what it offers by itself; 'any' ends the limit.",
    )
    .argument('<name>', 'its name')
    .option('--slots <n>', 'builds at the same time', wholeNumberOrAny)
    .option('--systems <list>', 'systems it may build for, separated by commas')
    .option('--features <list>', 'features it may offer')
    .option('--mandatory-features <list>', 'it takes only builds that require all of these')
    .option('--speed <factor>', 'compared with the others: 2 is twice as fast', factor)
    .option('--trust <list>', 'trust domains whose builds it may see')
    .option('--json', 'print one JSON document')
    .action((name: string, options: SetBuilderFlags) =>
      perform(async (context) => {
        const { setBuilder } = await import('./builder.ts');
        return setBuilder(context, name, options);
      }),
    );
  examples(command, [
    ['ringmaster builder set mars --slots 4', 'at most four builds at the same time'],
    ['ringmaster builder set mars --slots any', 'as many as the agent offers'],
  ]);
}

const changes = [
  ['enable', 'let a builder build', 'Lets a builder build, after it was disabled, drained or quarantined.'],
  ['disable', 'give a builder nothing more', 'Gives a builder nothing more. What runs there goes on.'],
  [
    'drain',
    'let a builder finish and rest',
    'Gives a builder nothing more; an agent ends when it has finished.',
  ],
  ['remove', 'forget a builder', 'Forgets a builder and its token. What runs there is built elsewhere.'],
] as const;

function addChanges(builder: Command, perform: Perform): void {
  for (const [change, summary, description] of changes) {
    const command = builder
      .command(change)
      .summary(summary)
      .description(description)
      .argument('<name>', 'its name')
      .option('--json', 'print one JSON document')
      .action((name: string, options: { json?: boolean }) =>
        perform(async (context) => {
          const { changeBuilder } = await import('./builder.ts');
          return changeBuilder(context, name, change, { json: options.json === true });
        }),
      );
    examples(command, [[`ringmaster builder ${change} mars`, summary]]);
  }
}

function addToken(builder: Command, perform: Perform): void {
  const command = builder
    .command('token')
    .summary('make a new token for an agent')
    .description(
      'Makes a new token for an agent and prints it once. The old one is worth nothing from then on.',
    )
    .argument('<name>', 'its name')
    .option('--json', 'print one JSON document')
    .action((name: string, options: { json?: boolean }) =>
      perform(async (context) => {
        const { renewToken } = await import('./builder-add.ts');
        return renewToken(context, name, { json: options.json === true });
      }),
    );
  examples(command, [['ringmaster builder token mars', 'when the old one was lost or seen']]);
}

function wholeNumberOrAny(text: string): number | 'any' {
  return text === 'any' ? text : wholeNumber(text);
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 10_000_000) return value;
  throw new InvalidArgumentError('It must be a whole number of seconds.');
}

function factor(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 1000) return value;
  throw new InvalidArgumentError('It must be a number above 0.');
}
