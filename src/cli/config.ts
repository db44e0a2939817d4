/** `ringmaster config show`. */
import { exitStatus } from '../basics/index.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { formatTable } from './terminal/table.ts';
import { plainLine } from './terminal/text.ts';

/** Prints each setting, its value in force and where that came from. */
export async function configShow(
  context: CommandContext,
  options: { readonly json: boolean },
): Promise<number> {
  const { stdout, style } = context;
  const { file, values } = await readConfiguration(context);
  if (options.json) {
    const shown = values.map(({ key, value, source, isDefault }) => ({
      key,
      value,
      source,
      default: isDefault,
    }));
    stdout.write(`${JSON.stringify({ file: file ?? null, values: shown }, null, 2)}\n`);
    return exitStatus.ok;
  }
  const rows = values.map(({ key, value, source, isDefault }) => [
    { text: key, tone: isDefault ? 'plain' : 'strong' } as const,
    { text: value === null ? '-' : plainLine(typeof value === 'string' ? value : JSON.stringify(value)) },
    { text: plainLine(source), tone: 'muted' } as const,
  ]);
  const lines = formatTable(rows, style, ['setting', 'value', 'from']);
  stdout.write(`${lines.join('\n')}\n`);
  return exitStatus.ok;
}
