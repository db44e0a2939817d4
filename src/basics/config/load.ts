/**
 * The configuration in force. For each setting the first of these that says something counts:
 * flag, environment, systemd credential, file, default. Where it came from is remembered.
 */
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { exitStatus } from '../errors.ts';
import { fromEnvironment, readSecret, strayVariables } from './environment.ts';
import { type ConfigFile, readConfigFile } from './file.ts';
import type { ConfigRequest } from './request.ts';
import { type Config, configSchema } from './schema.ts';
import { type Setting, schemaDefault, settings } from './settings.ts';
import { valueError } from './value-error.ts';

/** One setting's value and origin. Values of secrets are masked already. */
export interface ConfigValue {
  readonly key: string;
  readonly value: unknown;
  readonly source: string;
  /** Whether anybody set it. */
  readonly isDefault: boolean;
}

export interface LoadedConfig {
  readonly config: Config;
  /** The file that was read. */
  readonly file: string | undefined;
  readonly values: readonly ConfigValue[];
  /** Things that are probably mistakes but stop nobody. */
  readonly warnings: readonly string[];
}

interface Found {
  readonly value: unknown;
  readonly source: string;
  readonly isDefault?: boolean;
  /** Whether the source has types (TOML, the schema), so that text is meant as text. */
  readonly typed?: boolean;
  /** Says where in the source a part of the value stands, where that is known. */
  locate?(path: readonly (string | number)[]): string;
}

/** Gathers and checks the configuration. Mistakes are OperatorErrors with exit status 3. */
export async function loadConfig(request: ConfigRequest): Promise<LoadedConfig> {
  const file = await readConfigFile(request);
  const found = new Map<string, Found>();
  for (const setting of settings) {
    const one = await find(setting, request, file);
    if (one) found.set(setting.key, check(setting, one));
  }
  await followKeyPath(found, request, file);
  const tree = {};
  for (const setting of settings) place(tree, setting.path, found.get(setting.key)?.value);
  const config = configSchema.parse(tree);
  return {
    config: { ...config, dataDir: resolve(request.workingDirectory, config.dataDir) },
    file: file?.path,
    values: settings.map((setting) => show(setting, found.get(setting.key))),
    warnings: [...strayVariables(request.env), ...pathOfPublicUrl(config.server.publicUrl)],
  };
}

/** Pages, assets and the API link to each other from the top of a host. */
function pathOfPublicUrl(url: string | undefined): string[] {
  if (url === undefined || new URL(url).pathname === '/') return [];
  return [
    `server.public_url has a path (${new URL(url).pathname}): pages work only at the top of a host name.`,
  ];
}

async function find(
  setting: Setting,
  request: ConfigRequest,
  file: ConfigFile | undefined,
): Promise<Found | undefined> {
  const flag = request.flags?.find((one) => one.key === setting.key && one.value !== undefined);
  if (flag) return { value: flag.value, source: `flag ${flag.name}` };
  const given = await fromEnvironment(setting, request.env);
  if (given) return given;
  if (file?.values.has(setting.key)) {
    const parts = setting.key.split('.');
    const locate: Found['locate'] = (path) => `file ${file.locate([...parts, ...path])}`;
    return { value: file.values.get(setting.key), source: `file ${file.path}`, typed: true, locate };
  }
  const value = machineDefault(setting.key, request) ?? schemaDefault(setting);
  return value === undefined ? undefined : { value, source: 'default', isDefault: true, typed: true };
}

function machineDefault(key: string, request: ConfigRequest): unknown {
  const machine = request.machine ?? { isRoot: process.getuid?.() === 0, cores: availableParallelism() };
  const { XDG_STATE_HOME: state, HOME: home } = request.env;
  switch (key) {
    case 'builds.slots':
      return machine.cores;
    case 'data_dir':
      if (machine.isRoot) return '/var/lib/ringmaster';
      if (state) return join(state, 'ringmaster');
      return home
        ? join(home, '.local', 'state', 'ringmaster')
        : join(request.workingDirectory, '.ringmaster');
    default:
      return undefined;
  }
}

/** Text from flags, environment and credentials is taken for what the setting wants: text, number or list; tables are JSON. */
function check(setting: Setting, found: Found): Found {
  const { value } = found;
  const readings: unknown[] =
    typeof value === 'string' && !found.typed
      ? [value, /^-?\d+$/.test(value) ? Number(value) : value, splitList(value), fromJson(value)]
      : [value];
  let problem: z.core.$ZodError | undefined;
  for (const reading of readings) {
    const outcome = z.safeParse(setting.schema, reading);
    if (outcome.success) return { ...found, value: reading };
    problem ??= outcome.error;
  }
  throw valueError({
    setting,
    value,
    problem: problem ?? new z.core.$ZodError([]),
    sourceOf: (path) => found.locate?.(path) ?? found.source,
    exitStatus: found.source.startsWith('flag ') ? exitStatus.usage : exitStatus.configuration,
  });
}

/** What is no JSON is left as it is: it was meant as something else. */
function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** github.private_key_path gives github.private_key its value, unless that is set itself. */
async function followKeyPath(
  found: Map<string, Found>,
  request: ConfigRequest,
  file: ConfigFile | undefined,
): Promise<void> {
  const path = found.get('github.private_key_path');
  const setting = settings.find((one) => one.key === 'github.private_key');
  if (!path || !setting || found.has(setting.key)) return;
  const fromFile = file?.values.has('github.private_key_path') && path.typed;
  const base = file && fromFile ? dirname(file.path) : request.workingDirectory;
  const name = resolve(base, String(path.value));
  const value = await readSecret(name, `github.private_key_path (${path.locate?.([]) ?? path.source})`);
  found.set(setting.key, check(setting, { value, source: `file ${name}` }));
}

function place(tree: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [name, ...rest] = path;
  if (name === undefined) return;
  if (rest.length === 0) {
    if (value !== undefined) tree[name] = value;
    return;
  }
  const child = z.record(z.string(), z.unknown()).parse(tree[name] ?? {});
  place(child, rest, value);
  tree[name] = child;
}

function show(setting: Setting, found: Found | undefined): ConfigValue {
  if (!found) return { key: setting.key, value: null, source: 'not set', isDefault: true };
  const value = setting.notes.secret ? mask(setting, found.value) : found.value;
  return { key: setting.key, value, source: found.source, isDefault: found.isDefault === true };
}

function mask(setting: Setting, value: unknown): unknown {
  if (Array.isArray(value) && value.length === 0) return value;
  if (setting.notes.secret === 'whole') return '********';
  return String(value)
    .replace(/^([^:]*:\/\/[^:/@]*):.*@/, '$1:********@')
    .replace(/([?&]password=)[^&]*/, '$1********');
}
