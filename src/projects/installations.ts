/** GitHub App installations: which accounts let us in. Their ids are GitHub's and never used twice. */
import type { Knex } from '../postgres/index.ts';

export interface Installation {
  readonly id: number;
  readonly accountLogin: string;
  readonly suspended: boolean;
  readonly deleted: boolean;
}

interface InstallationRow {
  readonly id: number;
  readonly account_login: string;
  readonly suspended: boolean;
  readonly deleted: boolean;
}

/** Finds an installation by GitHub's id. */
export async function findInstallation(db: Knex, id: number): Promise<Installation | undefined> {
  const row: InstallationRow | undefined = await db('installations').where({ id }).first();
  return row && fromRow(row);
}

/** Records an installation, or that its account has another name now. A deleted one stays deleted. */
export async function upsertInstallation(db: Knex, id: number, accountLogin: string): Promise<Installation> {
  const result = await db.raw(
    `INSERT INTO installations (id, account_login) VALUES (:id, :accountLogin)
     ON CONFLICT (id) DO UPDATE SET account_login = excluded.account_login RETURNING *`,
    { id, accountLogin },
  );
  const row: InstallationRow = result.rows[0];
  return fromRow(row);
}

/** While an installation is suspended GitHub refuses everything we ask in its name. */
export async function setInstallationSuspended(db: Knex, id: number, suspended: boolean): Promise<void> {
  await db('installations').where({ id }).update({ suspended });
}

/** Whether the account lets the App commit; undefined: that may have changed, and has to be asked. */
export async function noteMayCommit(db: Knex, id: number, mayCommit: boolean | undefined): Promise<void> {
  await db('installations')
    .where({ id })
    .update({
      may_commit: mayCommit ?? null,
      may_commit_asked_at: mayCommit === undefined ? null : db.fn.now(),
    });
}

/** The App was uninstalled: its projects rest until another installation brings them back. */
export async function markInstallationDeleted(db: Knex, id: number, asOf: Date): Promise<number> {
  await db('installations').where({ id }).update({ deleted: true });
  return db('projects')
    .where({ installation_id: id, enabled: true })
    .update({ enabled: false, updated_at: db.raw('greatest(updated_at, ?::timestamptz)', [asOf]) });
}

function fromRow(row: InstallationRow): Installation {
  return { id: row.id, accountLogin: row.account_login, suspended: row.suspended, deleted: row.deleted };
}
