/** The configuration file: where it is looked for, and what it says. */
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { exitStatus, messageOf, OperatorError } from '../errors.ts';
import { nearest } from './nearest.ts';
import { placeOf } from './place-in-file.ts';
import type { ConfigRequest } from './request.ts';
import { settings } from './settings.ts';

export interface ConfigFile {
  readonly path: string;
  /** Value of each key that is present, under its dotted name. */
  readonly values: ReadonlyMap<string, unknown>;
  /** `FILE:LINE:COLUMN` of what is named, as compilers write it; for errors. */
  locate(path: readonly (string | number)[]): string;
}

/** Reads the file named by flag or environment, or the first that exists in the usual places. */
export async function readConfigFile(request: ConfigRequest): Promise<ConfigFile | undefined> {
  const named = request.configFile ?? nonEmpty(request.env.RINGMASTER_CONFIG);
  if (named !== undefined) return read(resolve(request.workingDirectory, named));
  for (const path of usualPlaces(request)) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) return read(path);
  }
  return undefined;
}

/** Where a configuration file is looked for when none is named, in this order. */
export function usualPlaces(request: ConfigRequest): string[] {
  const { XDG_CONFIG_HOME: xdg, HOME: home } = request.env;
  const personal = nonEmpty(xdg) ?? (nonEmpty(home) && join(home ?? '', '.config'));
  return [
    join(request.workingDirectory, 'ringmaster.toml'),
    ...(personal ? [join(personal, 'ringmaster', 'config.toml')] : []),
    '/etc/ringmaster/config.toml',
  ];
}

async function read(path: string): Promise<ConfigFile> {
  const text = await readFile(path, 'utf8').catch((error) => {
    throw new OperatorError({
      code: 'config-file-unreadable',
      message: `The configuration file ${path} cannot be read: ${messageOf(error)}`,
      hint: 'Check --config and RINGMASTER_CONFIG, and the permissions of the file.',
      exitStatus: exitStatus.configuration,
    });
  });
  const values = new Map<string, unknown>();
  const locate: ConfigFile['locate'] = (parts) => {
    const place = placeOf(text, parts);
    return place ? `${path}:${place.line}:${place.column}` : path;
  };
  flatten(locate, parseToml(path, text), [], values);
  return { path, values, locate };
}

function parseToml(path: string, text: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [reason] = error.message.replace('Invalid TOML document: ', '').split('\n');
    throw new OperatorError({
      code: 'config-file-invalid',
      message: `${path}:${error.line}:${error.column} is not valid TOML: ${reason}.`,
      hint: 'https://toml.io describes the format; text needs quotes.',
      exitStatus: exitStatus.configuration,
    });
  }
}

function flatten(
  locate: ConfigFile['locate'],
  table: object,
  parents: readonly string[],
  into: Map<string, unknown>,
): void {
  for (const [name, value] of Object.entries(table)) {
    const parts = [...parents, name];
    const key = parts.join('.');
    const isSection = settings.some((setting) => setting.key.startsWith(`${key}.`));
    if (isSection && typeof value === 'object' && value !== null && !Array.isArray(value)) {
      flatten(locate, value, parts, into);
    } else if (settings.some((setting) => setting.key === key)) {
      into.set(key, value);
    } else if (isSection) {
      throw notASection(locate(parts), key);
    } else {
      throw unknownKey(locate(parts), key);
    }
  }
}

function notASection(place: string, key: string): OperatorError {
  return new OperatorError({
    code: 'config-key-unknown',
    message: `${place}: '${key}' is a section, not a setting.`,
    hint: `Write [${key}] on a line of its own and its settings below.`,
    exitStatus: exitStatus.configuration,
  });
}

function unknownKey(place: string, key: string): OperatorError {
  const keys = settings.map((setting) => setting.key);
  const sections = [...new Set(keys.flatMap((one) => (one.includes('.') ? [one.split('.')[0] ?? ''] : [])))];
  const lastPart = key.split('.').at(-1);
  const elsewhere = keys.find((one) => one.split('.').at(-1) === lastPart);
  const meant = nearest(key, [...keys, ...sections]) ?? elsewhere;
  return new OperatorError({
    code: 'config-key-unknown',
    message: `${place}: there is no setting '${key}'.${meant ? ` Did you mean '${meant}'?` : ''}`,
    hint: "docs/reference/configuration.md lists all settings; 'ringmaster config show' those in force.",
    exitStatus: exitStatus.configuration,
  });
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
