/** From the text of a settings file to what it says, or to what is wrong with it and where. */
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { nearest } from '../basics/config/index.ts';
import { keyLines } from './settings-lines.ts';
import {
  defaultRepositorySettings,
  type RepositorySettings,
  repositorySettingKeys,
  repositorySettings,
  settingsFilePath,
  settingValues,
} from './settings-schema.ts';

export interface SettingsProblem {
  /** A sentence for people, without the place. */
  readonly message: string;
  /** From 1. */
  readonly line: number;
}

export interface ParsedSettings {
  /** What the file says, under its own keys; empty where something is wrong. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly settings: RepositorySettings;
  /** By line. While there are some, the file counts for nothing. */
  readonly problems: readonly SettingsProblem[];
}

/** UTF-8 bytes; no file of settings needs them. */
export const mostSettingsBytes = 64 * 1024;
/** More problems help nobody. */
const mostProblems = 20;

/** What a repository says of itself; without a file, nothing. Never throws. */
export function parseSettingsFile(text: string | undefined): ParsedSettings {
  if (text === undefined) return { values: {}, settings: defaultRepositorySettings, problems: [] };
  const problems: SettingsProblem[] = [];
  const table = parseToml(text, problems);
  const values: Record<string, unknown> = {};
  readTable(keyLines(text), table, [], values, problems);
  if (problems.length === 0) {
    return { values, settings: repositorySettings.parse(values), problems };
  }
  problems.sort((a, b) => a.line - b.line);
  return { values: {}, settings: defaultRepositorySettings, problems };
}

function parseToml(text: string, problems: SettingsProblem[]): object {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) {
      // Brackets within brackets within … : the parser's stack ends.
      problems.push(problem(1, 'This is not TOML that can be read.'));
      return {};
    }
    const [reason = ''] = error.message.replace('Invalid TOML document: ', '').split('\n');
    problems.push(problem(error.line, `This is not valid TOML: ${reason}.`));
    return {};
  }
}

function readTable(
  lineOf: (key: readonly string[]) => number,
  table: object,
  above: readonly string[],
  values: Record<string, unknown>,
  problems: SettingsProblem[],
): void {
  for (const [name, value] of Object.entries(table)) {
    if (problems.length >= mostProblems) return;
    const path = [...above, name];
    const key = path.join('.');
    const say = (message: string) => problems.push(problem(lineOf(path), message));
    const setting = repositorySettingKeys.find((one) => one.key === key);
    const isSection = repositorySettingKeys.some((one) => one.key.startsWith(`${key}.`));
    if (setting) {
      if (setting.schema.safeParse(value).success) values[name] = value;
      else say(`'${key}' must be ${setting.notes.expects}.`);
    } else if (isSection && above.length === 0) {
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
        const section: Record<string, unknown> = {};
        readTable(lineOf, value, path, section, problems);
        values[name] = section;
      } else say(`'${key}' is a section: write [${key}] on a line of its own and its settings below.`);
    } else {
      const meant = nearestKey(key);
      say(`There is no setting '${key}'.${meant === undefined ? '' : ` Did you mean '${meant}'?`}`);
    }
  }
}

function nearestKey(key: string): string | undefined {
  const keys = repositorySettingKeys.map((one) => one.key);
  const sections = keys.flatMap((one) => (one.includes('.') ? [one.split('.')[0] ?? ''] : []));
  const last = key.split('.').at(-1);
  // Words of any length are compared with every key: endless ones mean none.
  const near = key.length > 100 ? undefined : nearest(key, [...keys, ...new Set(sections)]);
  return near ?? keys.find((one) => one.split('.').at(-1) === last);
}

/** A problem with the file as a whole, or at a line, in a form that can be stored and shown. */
export function problem(line: number, message: string): SettingsProblem {
  return { line, message: message.slice(0, 500).replace(/[\p{Cc}\p{Cs}]/gu, '\ufffd') };
}

const problemShape = z.object({ message: z.string(), line: z.number() });
export const settingsProblems = z.array(problemShape);

/** A setting that would be another one. */
export interface SettingsChange {
  readonly key: string;
  /** As TOML would write it; undefined: not set. */
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** What other settings would change, defaults included, in the order of the reference. */
export function compareSettings(
  before: RepositorySettings,
  after: RepositorySettings,
): readonly SettingsChange[] {
  const old = settingValues(before);
  return [...settingValues(after)].flatMap(([key, value]) => {
    const change = { key, from: written(old.get(key)), to: written(value) };
    return change.from === change.to ? [] : [change];
  });
}

function written(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

/** About the settings file of one commit, for its report. */
export const settingsReview = z.object({
  /** Whether it is the default branch's file, or one that a pull request proposes. */
  place: z.enum(['in-force', 'proposed']),
  problems: settingsProblems,
  changes: z.array(z.object({ key: z.string(), from: z.string().optional(), to: z.string().optional() })),
});
export type SettingsReview = z.infer<typeof settingsReview>;

/** What a pull request's file would come to. */
export function reviewProposal(inForce: RepositorySettings, proposed: ParsedSettings): SettingsReview {
  const { problems, settings } = proposed;
  const changes = problems.length > 0 ? [] : compareSettings(inForce, settings);
  return { place: 'proposed', problems: [...problems], changes: changes.map((one) => ({ ...one })) };
}

/** A file that cannot be read as text: {@link settingsFilePath} is a folder, or far too long. */
export function unusableSettings(why: string): ParsedSettings {
  const problems = [problem(1, `${settingsFilePath} ${why}.`)];
  return { values: {}, settings: defaultRepositorySettings, problems };
}
