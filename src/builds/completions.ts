/**
 * Gathers results that come within a few milliseconds and records them in one transaction: a hundred
 * builds that end together cost little more than one. While one batch is written, the next gathers.
 */
import type { Knex } from 'knex';
import { type Logger, messageOf } from '../basics/index.ts';
import { untilDatabaseAnswers } from '../postgres/index.ts';
import { type AttemptEnd, completeAttempts, type OnBuildsChanged } from './complete.ts';

const gatherMs = 2;
const mostAtOnce = 1000;

export interface CompletionsOptions {
  readonly db: Knex;
  readonly onBuildsChanged: OnBuildsChanged;
  /** Per cent of what was built that is to be built again and compared. */
  readonly checkPercent?: number;
  readonly log: Logger;
}

export interface Completions {
  /** Resolves when it is recorded: the work of hours is not thrown away because the database is away. */
  record(end: AttemptEnd): Promise<void>;
  /** Waits no longer for a database that is away. */
  giveUp(): void;
}

interface Waiting {
  readonly end: AttemptEnd;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export function createCompletions(options: CompletionsOptions): Completions {
  const { db, onBuildsChanged, log } = options;
  const patience = new AbortController();
  let waiting: Waiting[] = [];
  let writing = false;

  async function write(): Promise<void> {
    writing = true;
    while (waiting.length > 0) {
      const batch = waiting.slice(0, mostAtOnce);
      waiting = waiting.slice(mostAtOnce);
      await writeBatch(batch);
    }
    writing = false;
  }

  async function writeBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      await untilDatabaseAnswers(log, patience.signal, () =>
        db.transaction((trx) =>
          completeAttempts(
            trx,
            batch.map((one) => one.end),
            onBuildsChanged,
            options.checkPercent,
          ),
        ),
      );
      for (const one of batch) one.resolve();
    } catch (error) {
      if (batch.length === 1 || patience.signal.aborted) {
        for (const one of batch) one.reject(error);
        return;
      }
      // One that cannot be recorded must not take the others with it.
      log.warn({ reason: messageOf(error), results: batch.length }, 'results are recorded one by one');
      for (const one of batch) await writeBatch([one]);
    }
  }

  return {
    record(end) {
      return new Promise((resolve, reject) => {
        waiting.push({ end, resolve, reject });
        if (!writing && waiting.length === 1) {
          setTimeout(() => {
            if (!writing) void write();
          }, gatherMs);
        }
      });
    },
    giveUp: () => patience.abort(),
  };
}
