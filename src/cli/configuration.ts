/** Every command reads the configuration the same way. */
import { type ConfigFlag, type LoadedConfig, loadConfig } from '../basics/config/index.ts';
import type { CommandContext } from './context.ts';

/** The configuration in force; `flags` are the command's own options. Warnings go to stderr. */
export async function readConfiguration(
  context: CommandContext,
  flags: readonly ConfigFlag[] = [],
): Promise<LoadedConfig> {
  const { env, workingDirectory, options } = context;
  const loaded = await loadConfig({ env, workingDirectory, flags, configFile: options.config });
  if (!options.quiet) for (const warning of loaded.warnings) context.stderr.write(`warning: ${warning}\n`);
  return loaded;
}
