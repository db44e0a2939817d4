/**
 * Keeps the settings of repositories up to date: asks for the file when a push may have changed it, or
 * when it was never read, and puts it into force in the delivery's transaction.
 */
import type { Knex } from '../../postgres/index.ts';
import {
  defaultRepositorySettings,
  findProjectByRepository,
  findProjectSettings,
  type ParsedSettings,
  type Project,
  type ProjectSettings,
  parseSettingsFile,
  recordSettings,
  recordSettingsUnchanged,
  type SettingsReview,
  settingsFilePath,
  unusableSettings,
} from '../../projects/index.ts';
import { failureOf } from '../failures.ts';
import type { FileAnswer } from '../repository-questions.ts';
import type { AskingContext, DeliveryContext } from './context.ts';
import { filesOfPush } from './filters.ts';
import type { PushPayload, RepositoryPayload } from './payloads.ts';
import { placeOf } from './project-of.ts';

/** What a delivery brings to know about the settings of its repository. */
export type SettingsNews =
  | { readonly kind: 'none' }
  /** `sha` undefined: the head of the default branch, whatever it was. */
  | {
      readonly kind: 'read';
      readonly sha: string | undefined;
      readonly text: string | undefined;
      readonly parsed: ParsedSettings;
    }
  /** The file of `before` is the file of `after`. */
  | { readonly kind: 'unchanged'; readonly before: string; readonly after: string };

const none: SettingsNews = { kind: 'none' };

/** What is known before anything is asked. */
export async function knownSettings(
  db: Knex,
  repository: RepositoryPayload,
): Promise<ProjectSettings | undefined> {
  const project = await findProjectByRepository(db, repository.id);
  return project && (await findProjectSettings(db, project.id));
}

/** Asks about the file unless it is known. `push`: of the default branch, where it is one. */
export async function askAboutSettings(
  { questions, db, log }: AskingContext,
  payload: {
    readonly repository: RepositoryPayload;
    readonly installation?: { readonly id: number } | undefined;
  },
  push?: PushPayload,
): Promise<SettingsNews> {
  const { repository, installation } = payload;
  if (!questions || !installation) return none;
  const known = await knownSettings(db, repository);
  if (known && (!push || known.sha === push.after)) return none;
  const place = placeOf(repository, installation.id);
  const read = async (sha: string | undefined): Promise<SettingsNews> => {
    const answer = await questions.file(place, settingsFilePath, sha);
    return { kind: 'read', sha, ...settingsIn(answer) };
  };
  try {
    if (!known || !push) return await read(push?.after);
    const { before, after } = push;
    const files = filesOfPush(push);
    if (before !== undefined && known.sha === before && files && !files.includes(settingsFilePath)) {
      return { kind: 'unchanged', before, after };
    }
    if (known.sha === before) return await read(after);
    // Something was missed, or this is old news: what is at the branch's head is in force.
    const head = await questions.branchHead(place, repository.default_branch ?? '');
    return head === known.sha && head !== undefined ? none : await read(head ?? after);
  } catch (error) {
    const { kind, reason } = failureOf(error);
    if (kind === 'unavailable' || kind === 'rate-limited') throw error;
    log.warn({ repository: repository.full_name, reason }, 'the settings of a repository cannot be read');
    return none;
  }
}

/** What a file's text, or its absence, says. */
export function settingsIn(answer: FileAnswer): {
  readonly text: string | undefined;
  readonly parsed: ParsedSettings;
} {
  if (answer.kind === 'unusable') return { text: undefined, parsed: unusableSettings(answer.why) };
  const text = answer.kind === 'text' ? answer.text : undefined;
  return { text, parsed: parseSettingsFile(text) };
}

/** Puts the news into force and returns what then is. */
export async function applySettings(
  { trx, receivedAt }: DeliveryContext,
  project: Project,
  news: SettingsNews,
): Promise<ProjectSettings> {
  if (news.kind === 'read') await recordSettings(trx, project.id, { ...news, asOf: receivedAt });
  if (news.kind === 'unchanged') {
    await recordSettingsUnchanged(trx, project.id, { ...news, asOf: receivedAt });
  }
  const stored = await findProjectSettings(trx, project.id);
  return stored ?? { settings: defaultRepositorySettings, sha: undefined, problems: [] };
}

/** What the report of a default branch's commit is to say of its file. */
export function reviewOfHead({ sha, problems }: ProjectSettings, after: string): SettingsReview | undefined {
  return sha === after ? { place: 'in-force', problems: [...problems], changes: [] } : undefined;
}
