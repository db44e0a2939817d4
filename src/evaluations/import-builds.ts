/** What an evaluation has built for itself, as builds with attempts and logs like all others. */
import type { Knex } from 'knex';
import { type Logger, messageOf } from '../basics/index.ts';
import { type BegunImport, beginImport, cancelReasons, endImport } from '../builds/index.ts';
import { type LogWriter, openLogWriter, type Secrets } from '../logs/index.ts';
import { isFixedOutput, requiredSystemFeatures } from '../nix/index.ts';
import { untilDatabaseAnswers } from '../postgres/index.ts';
import type { ImportBegun, ImportEnd, OnImport } from './events.ts';
import type { ClaimedEvaluation } from './queue.ts';
import { settleAfterBuilds } from './settle.ts';
import type { OnRevisionChanged } from './submit.ts';

export interface ImportBuildsOptions {
  readonly db: Knex;
  readonly processId: number;
  readonly evaluation: ClaimedEvaluation;
  readonly onRevisionChanged: OnRevisionChanged;
  readonly running: RunningImports;
  /** What must not be in logs; asked for each line. */
  readonly secrets?: () => Secrets;
  /** Aborted when the evaluation does not go on: then a database that is away is not waited for. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** What evaluations of this process have built for themselves right now. */
export interface RunningImports {
  begun(attemptId: number, cancel: (why: string) => void): void;
  ended(attemptId: number): void;
  /** Ends those whose builds somebody has cancelled. */
  stopCancelled(db: Knex): Promise<void>;
}

export function createRunningImports(): RunningImports {
  const running = new Map<number, (why: string) => void>();
  return {
    begun: (attemptId, cancel) => void running.set(attemptId, cancel),
    ended: (attemptId) => void running.delete(attemptId),
    stopCancelled: async (db) => {
      for (const [attemptId, why] of await cancelReasons(db, [...running.keys()])) {
        running.get(attemptId)?.(why);
      }
    },
  };
}

export interface ImportBuilds {
  readonly onImport: OnImport;
  /** All that have begun until now are written down to their ends. */
  ended(): Promise<void>;
}

/** Bytes of a log that are held until its attempt is in the database; what comes beyond is left out. */
const earlyBytes = 1024 * 1024;

export function createImportBuilds(options: ImportBuildsOptions): ImportBuilds {
  const following = new Set<Promise<void>>();
  return {
    onImport: (begun) => {
      const ears = listen();
      const followed = follow(options, begun, ears)
        .catch((error: unknown) =>
          options.log.warn(
            { reason: messageOf(error), derivation: begun.drvPath },
            'what an evaluation built was not written down',
          ),
        )
        .finally(() => following.delete(followed));
      following.add(followed);
      return ears.listener;
    },
    ended: async () => {
      while (following.size > 0) await Promise.all(following);
    },
  };
}

async function follow(options: ImportBuildsOptions, begun: ImportBegun, ears: Ears): Promise<void> {
  const { db, signal, log } = options;
  const wish = wishOf(options, begun);
  const { buildId, attemptId } = await untilDatabaseAnswers(log, signal, () =>
    db.transaction(async (trx): Promise<BegunImport> => {
      const build = await beginImport(trx, wish);
      await options.onRevisionChanged(trx, options.evaluation.revisionId, 'soon');
      return build;
    }),
  );
  if (attemptId === undefined) {
    ears.ignore();
    return;
  }
  options.running.begun(attemptId, begun.cancel);
  const writer = openLogWriter({ ...options, attemptId });
  ears.writeTo(writer);
  const end = await ears.ended.finally(() => options.running.ended(attemptId));
  await writer.finish(signal);
  await untilDatabaseAnswers(log, signal, () =>
    db.transaction(async (trx) => {
      await endImport(trx, { buildId, attemptId }, { ...end, outputs: {} }, (inside, ids) =>
        settleAfterBuilds(inside, ids, options.onRevisionChanged),
      );
      await options.onRevisionChanged(trx, options.evaluation.revisionId, 'soon');
    }),
  );
}

function wishOf({ evaluation, processId }: ImportBuildsOptions, { drvPath, name, derivation }: ImportBegun) {
  const outputs = [...(derivation?.outputs ?? [])].map(
    ([output, { path }]) => [output, path ?? null] as const,
  );
  return {
    evaluationId: evaluation.id,
    projectId: evaluation.projectId,
    processId,
    drvPath,
    name,
    system: derivation?.system ?? 'unknown',
    requiredFeatures: derivation ? requiredSystemFeatures(derivation) : [],
    outputs: Object.fromEntries(outputs),
    fixedOutput: derivation !== undefined && isFixedOutput(derivation),
  };
}

/** Hears a build, whether or not there is a log to write to yet. */
function listen() {
  let sink: Pick<LogWriter, 'line' | 'phase'> | undefined;
  let early: ((writer: Pick<LogWriter, 'line' | 'phase'>) => void)[] = [];
  let bytes = 0;
  let end: (end: ImportEnd) => void = () => {};
  const ended = new Promise<ImportEnd>((resolve) => {
    end = resolve;
  });
  const hear = (cost: number, write: (writer: Pick<LogWriter, 'line' | 'phase'>) => void) => {
    if (sink) return write(sink);
    bytes += cost;
    if (bytes <= earlyBytes) early.push(write);
  };
  return {
    listener: {
      line: (line: Buffer) => hear(line.length + 100, (writer) => writer.line(line)),
      phase: (name: string) => hear(name.length + 100, (writer) => writer.phase(name)),
      ended: end,
    },
    ended,
    writeTo(writer: LogWriter) {
      sink = writer;
      for (const write of early) write(writer);
      early = [];
    },
    ignore() {
      sink = { line: () => {}, phase: () => {} };
      early = [];
    },
  };
}

type Ears = ReturnType<typeof listen>;
