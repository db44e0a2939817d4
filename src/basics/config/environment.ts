/**
 * Settings from the environment. Each has RINGMASTER_SECTION_KEY, some a customary name besides.
 * A secret can also come from a file: named by the same variable with _FILE at its end, or lying
 * under the setting's key in systemd's credentials directory.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { exitStatus, messageOf, OperatorError } from '../errors.ts';
import { nearest } from './nearest.ts';
import { type Setting, settings } from './settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Given {
  readonly value: string;
  /** The variable or file it came from. */
  readonly source: string;
}

/** Variables of ours that are no settings. */
const otherVariables = ['RINGMASTER_CONFIG', 'RINGMASTER_DATA_DIR', 'RINGMASTER_TOKEN', 'RINGMASTER_SERVER'];

/** What the environment says about a setting. Empty variables say nothing. */
export async function fromEnvironment(setting: Setting, env: Environment): Promise<Given | undefined> {
  for (const variable of setting.variables) {
    const value = env[variable];
    const file = setting.notes.secret ? env[`${variable}_FILE`] : undefined;
    if (value && file) throw givenTwice(variable);
    if (value) return { value, source: `environment variable ${variable}` };
    if (file)
      return { value: await readSecret(file, `${variable}_FILE`), source: `file ${file} (${variable}_FILE)` };
  }
  const credentials = env.CREDENTIALS_DIRECTORY;
  if (!credentials || !setting.notes.secret) return undefined;
  const file = join(credentials, setting.key);
  // Only what is not there was not given: a secret that cannot be read must not look like none.
  const given = await stat(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );
  const value = given ? await readSecret(file, `the systemd credential ${setting.key}`) : '';
  return value === '' ? undefined : { value, source: `systemd credential ${setting.key}` };
}

/** Warnings about variables that look like settings and are none. */
export function strayVariables(env: Environment): string[] {
  const known = settings.flatMap(({ variables, notes }) =>
    notes.secret ? variables.flatMap((name) => [name, `${name}_FILE`]) : variables,
  );
  return Object.keys(env)
    .filter((name) => name.startsWith('RINGMASTER_'))
    .filter((name) => !known.includes(name) && !otherVariables.includes(name))
    .map((name) => {
      const meant = nearest(name, known);
      return `The environment variable ${name} names no setting.${meant ? ` Did you mean ${meant}?` : ''}`;
    });
}

/** A secret's file without the line end that editors add. */
export async function readSecret(file: string, namedBy: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trimEnd();
  } catch (error) {
    throw new OperatorError({
      code: 'secret-file-unreadable',
      message: `The file ${file}, named by ${namedBy}, cannot be read: ${messageOf(error)}`,
      hint: 'Check the name and that this user may read it.',
      exitStatus: exitStatus.configuration,
    });
  }
}

function givenTwice(variable: string): OperatorError {
  return new OperatorError({
    code: 'config-given-twice',
    message: `Both ${variable} and ${variable}_FILE are set.`,
    hint: 'Keep one of them.',
    exitStatus: exitStatus.configuration,
  });
}
