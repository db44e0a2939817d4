/** What the definitions of commands share. */
import { type Command, InvalidArgumentError } from 'commander';
import type { CommandBody } from './context.ts';

/** Runs the chosen command. */
export type Perform = (body: CommandBody) => Promise<void>;

/** Adds examples to a command's help. */
export function examples(
  command: Command,
  lines: readonly (readonly [command: string, meaning: string])[],
): void {
  const text = lines.map(([line, meaning]) => `  $ ${line}\n      ${meaning}`).join('\n');
  command.addHelpText('after', `\nExamples:\n${text}`);
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 1024) return value;
  throw new InvalidArgumentError('It must be a whole number from 1 to 1024.');
}

export function portNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 65_535) return value;
  throw new InvalidArgumentError('It must be a port number from 0 to 65535.');
}
