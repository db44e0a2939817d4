/** `ringmaster builder list|show|set|enable|disable|drain|remove`. */
import { exitStatus, OperatorError } from '../basics/index.ts';
import {
  type BuilderChange,
  changeBuilder as change,
  findBuilder,
  listBuilders as list,
  type RegisteredBuilder,
  removeBuilder as remove,
} from '../builders/index.ts';
import { listOf } from './builder-add.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { withServerDatabase } from './database.ts';
import { formatTable } from './terminal/table.ts';
import { plainLine } from './terminal/text.ts';

interface Options {
  readonly json: boolean;
}

export async function listBuilders(context: CommandContext, { json }: Options): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    const builders = await list(knex);
    if (json) context.stdout.write(`${JSON.stringify({ builders })}\n`);
    else if (builders.length === 0) {
      context.stdout.write(
        'No builder is registered. The server registers its own machine when it starts.\n',
      );
    } else context.stdout.write(tableOf(context, builders));
    return exitStatus.ok;
  });
}

export async function showBuilder(context: CommandContext, name: string, { json }: Options): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    const builder = await findBuilder(knex, name);
    if (json) {
      context.stdout.write(`${JSON.stringify(builder)}\n`);
      return exitStatus.ok;
    }
    const lines = Object.entries(builder).flatMap(([key, value]) => {
      const text = wordsOf(value);
      return text === '' ? [] : [[key, plainLine(text)]];
    });
    context.stdout.write(`${formatTable(lines, context.style).join('\n')}\n`);
    return exitStatus.ok;
  });
}

export async function changeBuilder(
  context: CommandContext,
  name: string,
  kind: keyof typeof done,
  { json }: Options,
): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    await (kind === 'remove' ? remove(knex, name) : change(knex, name, shortcuts[kind]));
    if (json) context.stdout.write(`${JSON.stringify({ name, changed: kind })}\n`);
    else if (!context.options.quiet) context.stdout.write(`${name}: ${done[kind]}\n`);
    return exitStatus.ok;
  });
}

export interface SetBuilderFlags {
  readonly slots?: number | 'any';
  readonly systems?: string;
  readonly features?: string;
  readonly mandatoryFeatures?: string;
  readonly speed?: number;
  readonly trust?: string;
  readonly json?: boolean;
}

export async function setBuilder(
  context: CommandContext,
  name: string,
  flags: SetBuilderFlags,
): Promise<number> {
  const { config } = await readConfiguration(context);
  const asked: BuilderChange = {
    slots: flags.slots === 'any' ? null : flags.slots,
    systems: listOrAny(flags.systems),
    features: listOrAny(flags.features),
    mandatoryFeatures: listOf(flags.mandatoryFeatures),
    speed: flags.speed,
    trustDomains: listOf(flags.trust),
  };
  if (Object.values(asked).every((one) => one === undefined)) {
    throw new OperatorError({
      code: 'nothing-to-change',
      message: 'The command names nothing to change.',
      hint: `For example: ringmaster builder set ${name} --slots 8`,
      exitStatus: exitStatus.usage,
    });
  }
  return withServerDatabase(context, config, async ({ knex }) => {
    await change(knex, name, asked);
    const { slots, systems, features } = await findBuilder(knex, name);
    if (flags.json) context.stdout.write(`${JSON.stringify({ name, slots, systems, features })}\n`);
    else if (!context.options.quiet) {
      const has = [systems.join(','), features.join(',')].filter((words) => words !== '').join('; ');
      context.stdout.write(`${name}: ${slots} slots; ${plainLine(has)}\n`);
    }
    return exitStatus.ok;
  });
}

function listOrAny(text: string | undefined): readonly string[] | null | undefined {
  return text === 'any' ? null : listOf(text);
}

const shortcuts = {
  enable: { enabled: true },
  disable: { enabled: false },
  drain: { draining: true },
} as const satisfies Record<string, BuilderChange>;

const done = {
  enable: 'enabled',
  disable: 'disabled, gets nothing more',
  drain: 'draining, gets nothing more',
  remove: 'removed',
} as const;

const head = ['NAME', 'KIND', 'STATE', 'BUILDS', 'SYSTEMS', ''];

function tableOf(context: CommandContext, builders: readonly RegisteredBuilder[]): string {
  const { style } = context;
  const lines = builders.map((builder) => [
    builder.name,
    builder.kind,
    stateOf(builder),
    `${builder.running}/${builder.slots}`,
    builder.systems.join(','),
    plainLine(builder.lastError ?? builder.withheld ?? ''),
  ]);
  return `${formatTable(lines, style, head).join('\n')}\n`;
}

/** The words of the builders' page. */
function stateOf(builder: RegisteredBuilder): string {
  const { enabled, lastError, draining, connected, kind, version, disabledUntil, running, withheld } =
    builder;
  if (!enabled) return lastError?.startsWith('Quarantined:') === true ? 'quarantined' : 'disabled';
  if (draining) return 'draining';
  if (!connected) return kind === 'agent' && version === undefined ? 'never connected' : 'away';
  if ((disabledUntil?.getTime() ?? 0) > Date.now()) return 'resting';
  if (withheld !== undefined) return 'overloaded';
  return running > 0 ? 'building' : 'ready';
}

function wordsOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value !== 'object') return String(value);
  return Object.entries(value)
    .map(([name, part]) => `${name} ${JSON.stringify(part)}`)
    .join(', ');
}
