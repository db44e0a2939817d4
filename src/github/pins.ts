/**
 * Private repositories that the evaluations of another one may fetch: whether they may, asked at that
 * moment, and a token for these repositories alone, which is given back afterwards.
 *
 * Both sides must want it, each in the settings file of its own default branch: the reader names what it
 * pins, what is pinned names its readers. So pushing to one repository gives nobody a second one.
 */
import { type Logger, messageOf } from '../basics/index.ts';
import type { Pins } from '../evaluations/index.ts';
import type { Knex } from '../postgres/index.ts';
import { findProjectByName, type Project, settingsFilePath } from '../projects/index.ts';
import type { GitHubApp } from './app.ts';
import { settingsIn } from './deliveries/repository-settings.ts';
import { failureOf } from './failures.ts';
import { revokeToken } from './git-credentials.ts';
import type { Questions } from './questions.ts';

export interface PinOptions {
  readonly db: Knex;
  readonly app: GitHubApp;
  readonly questions: Questions;
  readonly log: Logger;
}

/** Opens access to the pins of a project. Never rejects for what GitHub answers. */
export async function openPins(
  { db, app, questions, log }: PinOptions,
  reader: Project,
  pins: readonly string[],
): Promise<Pins> {
  const notices: string[] = [];
  const granted: Project[] = [];
  try {
    for (const pin of pins) {
      const [owner = '', name = ''] = pin.split('/');
      const pinned = await findProjectByName(db, owner, name);
      // Everybody can read it.
      if (pinned && !pinned.private) continue;
      const problem = await problemOf(questions, reader, pinned);
      if (pinned && problem === undefined) granted.push(pinned);
      else notices.push(`${pin} cannot be fetched: ${problem}`);
    }
    if (granted.length === 0) return { kind: 'ready', access: undefined, notices, close: async () => {} };
    const { token } = await app.mintToken(reader.installationId, {
      permissions: { contents: 'read' },
      repositoryIds: granted.map(({ githubRepositoryId }) => githubRepositoryId),
    });
    const repositories = granted.map(nameOf);
    return {
      kind: 'ready',
      access: { webUrl: app.webUrl, repositories, username: 'x-access-token', token },
      notices,
      close: () => revokeToken(app, token, log),
    };
  } catch (error) {
    const { kind, reason } = failureOf(error);
    log.info({ project: reader.id, reason: messageOf(error) }, 'access to pinned repositories was not had');
    const passing = kind === 'unavailable' || kind === 'rate-limited' || /suspended/i.test(reason);
    const words = `The pinned repositories cannot be read: ${reason}`;
    return { kind: passing ? 'later' : 'failed', reason: words };
  }
}

/** Why the reader may not have it; undefined when it may. */
async function problemOf(
  questions: Questions,
  reader: Project,
  pinned: Project | undefined,
): Promise<string | undefined> {
  // One answer for all that the account does not share with this App: whether it exists is not told.
  if (!pinned?.enabled || pinned.installationId !== reader.installationId) {
    return `it is no repository that this account lets the GitHub App read, or nothing was heard of it yet.`;
  }
  if (!reader.private) {
    return `${nameOf(reader)} is public, so everybody would see what is made from it.`;
  }
  const { installationId, githubRepositoryId: repositoryId, owner, name } = pinned;
  const answer = await questions.file({ installationId, repositoryId, owner, name }, settingsFilePath);
  const { settings, problems } = settingsIn(answer).parsed;
  if (problems.length > 0) return `its ${settingsFilePath} has mistakes.`;
  const readers = settings.shared_with.map((one) => one.toLowerCase());
  const names = [nameOf(reader), `${reader.owner}/*`].map((one) => one.toLowerCase());
  return names.some((one) => readers.includes(one))
    ? undefined
    : `'shared_with' in its ${settingsFilePath} does not name ${nameOf(reader)}.`;
}

function nameOf({ owner, name }: Project): string {
  return `${owner}/${name}`;
}
