/** The error for a value that a setting does not take: which part of it, from where, and what it wants. */
import type { z } from 'zod';
import { OperatorError } from '../errors.ts';
import type { Setting } from './settings.ts';

export interface WrongValue {
  readonly setting: Setting;
  readonly value: unknown;
  readonly problem: z.core.$ZodError;
  /** Where the part at this path within the value came from. */
  readonly sourceOf: (path: readonly (string | number)[]) => string;
  readonly exitStatus: number;
}

/** Names the first part that is wrong: of a list of tables, the table and its key. */
export function valueError({ setting, value, problem, sourceOf, exitStatus }: WrongValue): OperatorError {
  const [issue] = problem.issues;
  const extra = issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
  const path = [...(issue?.path ?? []), ...extra].filter((part) => typeof part !== 'symbol');
  const part = partAt(value, path);
  const name = path.reduce<string>(
    (words, one) => (typeof one === 'number' ? `${words}[${one}]` : `${words}.${one}`),
    setting.key,
  );
  const shown = setting.notes.secret || part === undefined ? '' : ` = ${JSON.stringify(part)}`;
  const fault =
    extra.length > 0
      ? 'is not a key that there is'
      : part === undefined && path.length > 0
        ? 'is missing'
        : 'is not usable';
  // What a part must be, zod says; of the whole, the setting's own words are better.
  const detail = path.length > 0 && fault === 'is not usable' ? ` (${issue?.message})` : '';
  const subject = path.length > 0 ? setting.key : 'It';
  return new OperatorError({
    code: 'config-value-invalid',
    message: `${name}${shown}, from ${sourceOf(path)}, ${fault}${detail}. ${subject} must be ${setting.notes.expects}.`,
    hint: 'docs/reference/configuration.md describes all settings.',
    exitStatus,
  });
}

function partAt(value: unknown, path: readonly (string | number)[]): unknown {
  const [part, ...rest] = path;
  if (part === undefined) return value;
  if (typeof value !== 'object' || value === null) return undefined;
  return partAt(Object.entries(value).find(([name]) => name === String(part))?.[1], rest);
}
