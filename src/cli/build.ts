/** `ringmaster build list|show|cancel|bump|restart|check|keep|let-go`. */
import { exitStatus } from '../basics/index.ts';
import {
  askForCheck,
  type BuildRecord,
  type BuildState,
  bumpPriority,
  cancelCheck,
  checkRefusals,
  checkWords,
  keepBuild,
  keepRefusals,
  letGoOfBuild,
  listBuildRecords,
} from '../builds/index.ts';
import { cancelBuild, restartBuild } from '../evaluations/index.ts';
import type { Knex } from '../postgres/index.ts';
import { announceRevision } from '../server/index.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { withServerDatabase } from './database.ts';
import { needBuild } from './needed-build.ts';
import { formatTable } from './terminal/table.ts';
import { plainLine } from './terminal/text.ts';

export interface BuildOptions {
  readonly json: boolean;
}

export async function listBuilds(
  context: CommandContext,
  {
    json,
    ...filter
  }: BuildOptions & {
    readonly state?: BuildState;
    readonly onlyKept: boolean;
    readonly limit: number;
  },
): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    const builds = await listBuildRecords(knex, filter);
    if (json) context.stdout.write(`${JSON.stringify({ builds })}\n`);
    else if (builds.length === 0) context.stdout.write('There is no such build.\n');
    else {
      const rows = builds.map((build) => [
        String(build.id),
        build.state,
        build.system,
        plainLine(build.name),
        timeOf(build),
      ]);
      const head = ['ID', 'STATE', 'SYSTEM', 'NAME', 'SINCE'];
      context.stdout.write(`${formatTable(rows, context.style, head).join('\n')}\n`);
    }
    return exitStatus.ok;
  });
}

function timeOf({ finishedAt, startedAt, createdAt }: BuildRecord): string {
  return (finishedAt ?? startedAt ?? createdAt).slice(0, 16).replace('T', ' ');
}

export async function showBuild(
  context: CommandContext,
  id: number,
  { json }: BuildOptions,
): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    const build = await needBuild(knex, id);
    if (json) context.stdout.write(`${JSON.stringify(build)}\n`);
    else {
      const { attempts, checks, ...fields } = build;
      const lines = Object.entries(fields).flatMap(([name, value]) =>
        value === null || value === '' ? [] : [[name, plainLine(String(value))]],
      );
      const compared = checks.map(({ id: check, state, message }) => [
        `check ${check}`,
        plainLine(`${checkWords[state]} ${message.split('\n')[0] ?? ''}`.trim()),
      ]);
      const tries = attempts.map(({ id: attempt, builder, state, status, startedAt }) => [
        `attempt ${attempt}`,
        `${status ?? state} on ${plainLine(builder)}, ${startedAt.slice(0, 19).replace('T', ' ')}`,
      ]);
      context.stdout.write(`${formatTable([...lines, ...compared, ...tries], context.style).join('\n')}\n`);
    }
    return exitStatus.ok;
  });
}

export type BuildAction = 'cancel' | 'bump' | 'restart' | 'check' | 'keep' | 'let-go';

/** Does one thing to some builds; exit status 1 when one of them was not in a state for it. */
export async function changeBuilds(
  context: CommandContext,
  action: BuildAction,
  ids: readonly number[],
  { json }: BuildOptions,
): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    let good = true;
    for (const id of ids) {
      await needBuild(knex, id);
      const { done, ...more } = await act(knex, action, id);
      good &&= done;
      if (json) context.stdout.write(`${JSON.stringify({ id, done, ...more })}\n`);
      else if (!done || !context.options.quiet) context.stdout.write(`build ${id}: ${more.message}\n`);
    }
    return good ? exitStatus.ok : exitStatus.failed;
  });
}

interface Outcome {
  readonly done: boolean;
  readonly message: string;
  readonly evaluationIds?: readonly number[];
  readonly checkId?: number;
}

function act(knex: Knex, action: BuildAction, id: number): Promise<Outcome> {
  return knex.transaction(async (trx): Promise<Outcome> => {
    if (action === 'bump') {
      const bumped = await bumpPriority(trx, id);
      return bumped > 0 ? { done: true, message: `goes first, as ${bumped} builds do now` } : over;
    }
    if (action === 'cancel') {
      const options = { why: 'Cancelled on the command line.', onRevisionChanged: announceRevision };
      if (await cancelBuild(trx, id, options)) return { done: true, message: 'cancelled' };
      // A build that is over may still be built again to compare.
      return (await cancelCheck(trx, id)) ? { done: true, message: 'its check is cancelled' } : over;
    }
    if (action === 'check') return checkAgain(trx, id);
    if (action === 'keep') return keep(trx, id);
    if (action === 'let-go') {
      const gone = await letGoOfBuild(trx, id);
      return { done: gone, message: gone ? 'is not kept any more' : 'was not kept' };
    }
    const restart = await restartBuild(trx, id, announceRevision);
    if (restart.kind !== 'restarted') return { done: false, message: refusals[restart.kind] };
    const { evaluationIds } = restart;
    return { done: true, message: `wanted again by evaluation ${evaluationIds.join(', ')}`, evaluationIds };
  });
}

async function keep(trx: Knex.Transaction, id: number): Promise<Outcome> {
  const keeping = await keepBuild(trx, id, 'the command line');
  if (keeping === 'kept') return { done: true, message: 'its results are kept' };
  if (keeping === 'kept-before') return { done: true, message: 'its results are kept already' };
  return { done: false, message: keepRefusals[keeping] };
}

async function checkAgain(trx: Knex.Transaction, id: number): Promise<Outcome> {
  const asked = await askForCheck(trx, id, 'the command line');
  switch (asked.kind) {
    case 'asked':
      return { done: true, message: 'built again when a builder is free', checkId: asked.checkId };
    case 'asked-before':
      return { done: true, message: 'is to be built again already', checkId: asked.checkId };
    case 'unknown':
      return { done: false, message: refusals.unknown };
    default:
      return { done: false, message: checkRefusals[asked.kind] };
  }
}

const over: Outcome = { done: false, message: 'it is over already' };
const refusals = {
  unknown: 'there is no such build',
  unfinished: 'it is not over yet',
  succeeded: 'it succeeded; its results are there',
  'not-wanted': 'no commit wants it any more',
} as const;
