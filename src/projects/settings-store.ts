/**
 * Which settings of a repository are in force. A file with problems changes nothing but what is said
 * about it: what the last good one said holds on.
 */
import { z } from 'zod';
import type { Knex } from '../postgres/index.ts';
import { type ParsedSettings, type SettingsProblem, settingsProblems } from './settings-parse.ts';
import { type RepositorySettings, repositorySettings } from './settings-schema.ts';

export interface ProjectSettings {
  /** In force. */
  readonly settings: RepositorySettings;
  /** The newest commit of the default branch of which the file is known. */
  readonly sha: string | undefined;
  /** What is wrong with that commit's file. */
  readonly problems: readonly SettingsProblem[];
}

const row = z.object({
  sha: z.string().nullable(),
  // What an earlier version stored and this one does not take counts as not said.
  settings: repositorySettings.catch(repositorySettings.parse({})),
  problems: settingsProblems,
});

/** Undefined when the file was never looked for. */
export async function findProjectSettings(db: Knex, projectId: number): Promise<ProjectSettings | undefined> {
  const found: unknown = await db('project_settings')
    .select('sha', 'settings', 'problems')
    .where({ project_id: projectId })
    .first();
  if (found === undefined) return undefined;
  const { sha, settings, problems } = row.parse(found);
  return { settings, sha: sha ?? undefined, problems };
}

/** What was read of a repository's default branch. */
export interface SettingsRead {
  /** Undefined: whatever commit the branch was at. */
  readonly sha: string | undefined;
  readonly text: string | undefined;
  readonly parsed: ParsedSettings;
  /** How old that knowledge is. */
  readonly asOf: Date;
}

/** Puts a file into force, as far as it is good. Older knowledge than what is there changes nothing. */
export async function recordSettings(trx: Knex, projectId: number, read: SettingsRead): Promise<void> {
  const { values, problems } = read.parsed;
  await trx.raw(
    `INSERT INTO project_settings (project_id, sha, text, settings, problems, read_at)
     VALUES (:projectId, :sha, :text, :settings, :problems, :asOf)
     ON CONFLICT (project_id) DO UPDATE SET
       sha = excluded.sha, text = excluded.text, problems = excluded.problems, read_at = excluded.read_at,
       settings = CASE WHEN excluded.problems = '[]' THEN excluded.settings ELSE project_settings.settings END
     WHERE project_settings.read_at <= excluded.read_at`,
    {
      projectId,
      sha: read.sha ?? null,
      // PostgreSQL keeps every character but this one.
      text: read.text?.replaceAll('\0', '\ufffd') ?? null,
      settings: JSON.stringify(values),
      problems: JSON.stringify(problems),
      asOf: read.asOf,
    },
  );
}

/** A push that did not touch the file: what is known holds for its head, too. */
export async function recordSettingsUnchanged(
  trx: Knex,
  projectId: number,
  { before, after, asOf }: { readonly before: string; readonly after: string; readonly asOf: Date },
): Promise<void> {
  await trx('project_settings')
    .where({ project_id: projectId, sha: before })
    .where('read_at', '<=', asOf)
    .update({ sha: after, read_at: asOf });
}

/** What a repository's settings say of how its commits are evaluated. */
export interface EvaluationWishes {
  /** Systems of which a flake's outputs are jobs; undefined: the server's own. */
  readonly systems: readonly string[] | undefined;
  /** Whether submodules are fetched. */
  readonly submodules: boolean;
}

export async function evaluationWishesOf(db: Knex, projectId: number): Promise<EvaluationWishes> {
  const settings = (await findProjectSettings(db, projectId))?.settings;
  return { systems: settings?.systems, submodules: settings?.submodules ?? false };
}
