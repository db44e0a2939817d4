/**
 * Processes that die at a chosen moment, for tests: within `live`, each statement to the database and
 * each call to GitHub is a moment. A process that is dead does nothing more; what it had begun to do
 * in a transaction is undone, as PostgreSQL does when a connection ends.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from '../../postgres/index.ts';
import type { ReportTransport } from '../types.ts';
import { Crash } from './test-github.ts';

interface Life {
  moments: number;
  readonly diesAt: number;
  readonly underWay: Set<Promise<unknown>>;
}

type Query = (connection: unknown, query: unknown) => Promise<unknown>;

const lives = new AsyncLocalStorage<Life>();

/** Every statement is a moment from now on, transactions' included, until what it returns is called. */
export function makeMortal(db: Knex): () => void {
  const client: unknown = db.client;
  const prototype: unknown = Object.getPrototypeOf(client);
  if (!hasQuery(prototype)) throw new Error('knex keeps its statements elsewhere now');
  const original = prototype._query;
  prototype._query = function query(connection, sent) {
    const act = () => original.call(this, connection, sent);
    return sqlOf(sent).startsWith('ROLLBACK') ? act() : moment(act);
  };
  return () => {
    prototype._query = original;
  };
}

export function mortalTransport(transport: ReportTransport): ReportTransport {
  return {
    createCheck: (...args) => moment(() => transport.createCheck(...args)),
    updateCheck: (...args) => moment(() => transport.updateCheck(...args)),
    findCheck: (...args) => moment(() => transport.findCheck(...args)),
    setStatus: (...args) => moment(() => transport.setStatus(...args)),
    listChecks: (...args) => moment(() => transport.listChecks(...args)),
  };
}

/** How many moments it lived, and whether it died; resolves when nothing of it is under way any more. */
export async function live(
  diesAt: number,
  act: () => Promise<void>,
): Promise<{ readonly moments: number; readonly died: boolean }> {
  const life: Life = { moments: 0, diesAt, underWay: new Set() };
  let died = false;
  try {
    await lives.run(life, act);
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
    died = true;
  }
  while (life.underWay.size > 0) await Promise.allSettled([...life.underWay]);
  return { moments: life.moments, died };
}

async function moment<Result>(act: () => Promise<Result>): Promise<Result> {
  const life = lives.getStore();
  if (!life) return act();
  if (life.moments >= life.diesAt) throw new Crash('the process is dead');
  const work = act();
  life.underWay.add(work);
  try {
    const result = await work;
    if (life.moments >= life.diesAt || ++life.moments === life.diesAt) throw new Crash('the process died');
    return result;
  } finally {
    life.underWay.delete(work);
  }
}

function hasQuery(value: unknown): value is { _query: Query } {
  return typeof value === 'object' && value !== null && '_query' in value;
}

function sqlOf(query: unknown): string {
  if (typeof query !== 'object' || query === null || !('sql' in query)) return '';
  return String(query.sql);
}
