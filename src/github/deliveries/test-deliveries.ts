/** For tests: deliveries that are stored and worked off at once, and payloads with what is read of them. */
import { silentLogger } from '../../basics/index.ts';
import { createSubmitRevision, type RevisionSubmission } from '../../evaluations/index.ts';
import type { Knex } from '../../postgres/index.ts';
import { settingsFilePath } from '../../projects/index.ts';
import type { Permission, PullRequestHead } from '../questions.ts';
import { createDeliveryProcessor } from './process-delivery.ts';

export const testAppId = 4711;

/** What became of a delivery after one try. */
export interface Processed {
  readonly id: string;
  /** What the task queue would see. */
  readonly thrown: unknown;
  readonly outcome: string | null;
  readonly error: string | null;
  readonly processed: boolean;
}

export interface TestDeliveries {
  /** Everything that was submitted, oldest first. */
  readonly submissions: readonly RevisionSubmission[];
  process(event: string, payload: Readonly<Record<string, unknown>>, receivedAt?: Date): Promise<Processed>;
  /** Works a stored delivery off once more. */
  again(id: string): Promise<Processed>;
}

/** `permissions`: what GitHub would say of people, by login; everybody else has none. */
export function testDeliveries(
  database: () => Knex,
  options: {
    readonly permissions?: Readonly<Record<string, Permission>>;
    readonly head?: () => PullRequestHead | undefined;
    /** The settings file at a commit; without one, of the default branch. */
    readonly settingsFile?: (ref: string | undefined) => string | undefined;
    readonly branchHead?: () => string | undefined;
    readonly changedFiles?: () => readonly string[] | undefined;
  } = {},
): TestDeliveries {
  const submissions: RevisionSubmission[] = [];
  const submit = createSubmitRevision(async () => {});

  async function again(id: string): Promise<Processed> {
    const work = createDeliveryProcessor({
      db: database(),
      log: silentLogger(),
      onRevisionChanged: async () => {},
      questions: {
        permissionOf: async (_, login) => options.permissions?.[login] ?? 'none',
        pullRequest: async () => options.head?.(),
        file: async (_, path, ref) => {
          const text = path === settingsFilePath ? options.settingsFile?.(ref) : undefined;
          return text === undefined ? { kind: 'missing' } : { kind: 'text', text };
        },
        branchHead: async () => options.branchHead?.(),
        changedFiles: async () => options.changedFiles?.(),
      },
      appId: testAppId,
      commandWord: '/ci',
      submit: (trx, submission) => {
        submissions.push(submission);
        return submit(trx, submission);
      },
    });
    const thrown = await work({ id }).then(
      () => undefined,
      (error: unknown) => error,
    );
    const row: { outcome: string | null; error: string | null; processed_at: Date | null } = await database()(
      'deliveries',
    )
      .where({ id })
      .first();
    return { id, thrown, outcome: row.outcome, error: row.error, processed: row.processed_at !== null };
  }

  return {
    submissions,
    again,
    async process(event, payload, receivedAt = new Date()) {
      const id = crypto.randomUUID();
      const row = { id, event, payload: JSON.stringify(payload), received_at: receivedAt };
      await database()('deliveries').insert(row);
      return again(id);
    },
  };
}

let lastId = 9_000_000;
/** An id that GitHub has not used for anything else here. */
export const newId = () => ++lastId;

const newSha = () => crypto.randomUUID().replaceAll('-', '').padEnd(40, '0');

export interface RepositoryFacts {
  readonly id: number;
  readonly full_name: string;
  readonly private: boolean;
  readonly default_branch: string;
}

export function repositoryOf(owner: string, name = 'rockets', id = newId()): RepositoryFacts {
  return { id, full_name: `${owner}/${name}`, private: false, default_branch: 'trunk' };
}

export function pushTo(
  repository: RepositoryFacts,
  installation: number,
  more: Record<string, unknown> = {},
) {
  return {
    ref: 'refs/heads/trunk',
    after: newSha(),
    deleted: false,
    repository,
    installation: { id: installation },
    head_commit: { message: 'Fly higher\n\nMuch.', author: { name: 'Ada' } },
    ...more,
  };
}

export function pullRequestTo(
  repository: RepositoryFacts,
  installation: number,
  headRepo: unknown,
  action = 'opened',
) {
  return {
    action,
    number: 7,
    repository,
    installation: { id: installation },
    pull_request: {
      title: 'More thrust',
      user: { login: 'mallory' },
      head: { sha: newSha(), repo: headRepo },
      base: { ref: 'trunk', repo: { id: repository.id } },
    },
  };
}
