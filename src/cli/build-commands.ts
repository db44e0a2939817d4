/** `ringmaster build …` and `ringmaster token …`. Their code is loaded when one of them runs. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { BuildState } from '../builds/index.ts';
import type { TokenScope } from '../web/index.ts';
import type { BuildAction } from './build.ts';
import { examples, type Perform } from './command-parts.ts';

/** As in the database's constraint; loading the queue's code for them would slow every command. */
const states = [
  'blocked',
  'queued',
  'building',
  'succeeded',
  'failed',
  'dependency-failed',
  'timed-out',
  'silent-timeout',
  'log-limit',
  'output-mismatch',
  'non-deterministic',
  'unsupported-system',
  'out-of-disk',
  'builder-lost',
  'cancelled',
] as const satisfies readonly BuildState[];

export function addBuildCommands(program: Command, perform: Perform): void {
  const build = program
    .command('build')
    .summary('look at builds, their logs, and change what becomes of them')
    .description(
      'Looks at builds and changes what becomes of them, with or without a running server.\n' +
        'A build belongs to a derivation, whatever number of commits wants it.',
    );
  addList(build, perform);
  addShow(build, perform);
  addLog(build, perform);
  addActions(build, perform);
  examples(build, [
    ['ringmaster build list --state building', 'what runs now'],
    ['ringmaster build log -f 42', 'follow a log until the build is over'],
    ['ringmaster build restart 42', 'try a failed build again'],
  ]);
  addTokenCommands(program, perform);
}

function addList(build: Command, perform: Perform): void {
  const command = build
    .command('list')
    .summary('print the newest builds')
    .description('Prints the newest builds, newest first.')
    .addOption(new Option('--state <state>', 'only builds in this state').choices(states))
    .option('--kept', 'only builds whose results are kept')
    .option('--limit <n>', 'at most so many', rowCount, 50)
    .option('--json', 'print one JSON document')
    .action((options: { state?: BuildState; kept?: boolean; limit: number; json?: boolean }) =>
      perform(async (context) => {
        const { listBuilds } = await import('./build.ts');
        const { state, kept, limit, json } = options;
        const filter = { limit, onlyKept: kept === true, ...(state === undefined ? {} : { state }) };
        return listBuilds(context, { json: json === true, ...filter });
      }),
    );
  examples(command, [['ringmaster build list --state failed --limit 10', 'the last ten failures']]);
}

function addShow(build: Command, perform: Perform): void {
  const command = build
    .command('show')
    .summary('print one build with its attempts')
    .description('Prints one build with its attempts.')
    .argument('<id>', 'the build', id)
    .option('--json', 'print one JSON document')
    .action((buildId: number, options: { json?: boolean }) =>
      perform(async (context) => {
        const { showBuild } = await import('./build.ts');
        return showBuild(context, buildId, { json: options.json === true });
      }),
    );
  examples(command, [['ringmaster build show 42', 'its state, its times, who tried it']]);
}

function addLog(build: Command, perform: Perform): void {
  const command = build
    .command('log')
    .summary('print the log of a build')
    .description('Prints the log of a build as the builder printed it.')
    .argument('<id>', 'the build', id)
    .option('-f, --follow', 'go on until the build is over')
    .option('--attempt <id>', 'of this attempt instead of the newest', id)
    .action((buildId: number, { follow, attempt }: { follow?: boolean; attempt?: number }) =>
      perform(async (context) => {
        const { buildLog } = await import('./build-log.ts');
        const options = { follow: follow === true, ...(attempt === undefined ? {} : { attempt }) };
        return buildLog(context, buildId, options);
      }),
    );
  examples(command, [['ringmaster build log -f 42', 'while it builds']]);
}

const actions = {
  cancel: ['stop builds, whoever wants them, with what depends on them', 'and all that needs it'],
  bump: ['put builds, and what they wait for, before others', 'again puts it further to the front'],
  check: ['build what succeeded once more and compare', "'ringmaster build show 42' tells what came of it"],
  keep: ['keep results until they are let go', 'of a release, whatever becomes of its branch'],
  'let-go': ['let go results that were kept', 'they stay as long as a branch has them'],
  restart: ['try builds that ended badly again', 'the commits that wanted it are evaluated again'],
} as const satisfies Record<BuildAction, readonly [string, string]>;

function addActions(build: Command, perform: Perform): void {
  for (const action of ['cancel', 'bump', 'restart', 'check', 'keep', 'let-go'] as const) {
    const [summary, meaning] = actions[action];
    const command = build
      .command(action)
      .summary(summary)
      .description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`)
      .argument('<ids...>', 'the builds', (text: string, ids: number[] = []) => [...ids, id(text)])
      .option('--json', 'print one JSON object a build')
      .action((ids: number[], options: { json?: boolean }) =>
        perform(async (context) => {
          const { changeBuilds } = await import('./build.ts');
          return changeBuilds(context, action, ids, { json: options.json === true });
        }),
      );
    examples(command, [[`ringmaster build ${action} 42`, meaning]]);
  }
}

function addTokenCommands(program: Command, perform: Perform): void {
  const token = program
    .command('token')
    .summary('manage who may use the API')
    .description("Manages the tokens of the API, which programs send as 'Authorization: Bearer …'.");
  const create = token
    .command('create')
    .summary('make a token and print it, this once')
    .description('Makes a token and prints it. Only its hash is kept, so it cannot be shown again.')
    .argument('<name>', 'who or what will use it, for people')
    .addOption(
      new Option('--scope <scope>', 'read: sees private repositories; admin: may change things as well')
        .choices(['read', 'admin'])
        .default('read'),
    )
    .option('--json', 'print one JSON document')
    .action((name: string, { scope, json }: { scope: TokenScope; json?: boolean }) =>
      perform(async (context) => {
        const { tokenCreate } = await import('./token.ts');
        return tokenCreate(context, name, { json: json === true, scope });
      }),
    );
  const list = token
    .command('list')
    .summary('print all tokens')
    .description('Prints all tokens with their scope and last use, not the tokens themselves.')
    .option('--json', 'print one JSON document')
    .action((options: { json?: boolean }) =>
      perform(async (context) => {
        const { tokenList } = await import('./token.ts');
        return tokenList(context, { json: options.json === true });
      }),
    );
  const revoke = token
    .command('revoke')
    .summary('end a token, at once and for good')
    .description('Ends a token, at once and for good.')
    .argument('<id>', 'the token', id)
    .option('--json', 'print one JSON document')
    .action((tokenId: number, options: { json?: boolean }) =>
      perform(async (context) => {
        const { tokenRevoke } = await import('./token.ts');
        return tokenRevoke(context, tokenId, { json: options.json === true });
      }),
    );
  examples(token, [['ringmaster token create deploy --scope admin > token', 'for a script']]);
  examples(create, [['ringmaster token create dashboard', 'one that only reads']]);
  examples(list, [['ringmaster token list', 'which are used']]);
  examples(revoke, [['ringmaster token revoke 3', 'its bearer is refused from now on']]);
}

function id(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError('It must be a number, as the list shows it.');
}

function rowCount(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 100_000) return value;
  throw new InvalidArgumentError('It must be a whole number from 1 to 100000.');
}
