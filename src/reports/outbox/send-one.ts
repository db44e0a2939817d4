/**
 * Makes GitHub agree with one report, in one call.
 *
 * A row goes through these states; each arrow is one UPDATE, never around a call:
 *
 *   settled ──call begins──> uncertain ──answer stored──> settled
 *                               └── crash, or no answer: the next try asks GitHub first
 *
 * so that a crash between GitHub's answer and its storing never makes a second run.
 */
import type { Knex } from 'knex';
import type { Logger } from '../../basics/index.ts';
import { revisionChannel } from '../../evaluations/index.ts';
import { notify } from '../../postgres/index.ts';
import { limits } from '../limits.ts';
import { gateName, summaryStatusName } from '../names.ts';
import type { Annotation, DesiredCheck, DesiredReport, ReportTransport, SendResult } from '../types.ts';
import { pauseSeconds, retrySeconds } from './backoff.ts';
import {
  changeRow,
  degradedCheck,
  externalIdOf,
  noteSent,
  type OutboxRow,
  openedCheck,
  type RowChange,
  readRow,
} from './row.ts';

export interface SendOptions {
  readonly db: Knex;
  readonly transport: ReportTransport;
  readonly log: Logger;
  readonly now: () => Date;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** How the call went, as far as the caller's round is concerned. */
export type SendOutcome =
  | { readonly kind: 'done' }
  /** No answer: when all of a round end so, GitHub is away. */
  | { readonly kind: 'later'; readonly until: Date }
  /** Leave the whole installation alone. */
  | { readonly kind: 'paused'; readonly until: Date };

/** Milliseconds between two versions of one run's progress, at least. */
const progressEveryMs = 10_000;
/** Of a gate after its first version; twice as long after each further one, until it is that. */
const gateFirstMs = 2_000;
/** And at least this part of the time it has run: an hour of building is some 50 versions, not 360. */
const progressShare = 1 / 12;

/** Annotations of a check, and how many GitHub has had. */
interface Delivery {
  readonly check: DesiredCheck;
  readonly annotations: readonly Annotation[];
  /** Not the whole wish: more calls must follow. */
  readonly partial: boolean;
}

export async function sendOne(options: SendOptions, reportId: number): Promise<SendOutcome> {
  const found = await readRow(options.db, reportId);
  if (!found) return { kind: 'done' };
  if (found.desired.kind === 'status') {
    const result = await options.transport.setStatus(found.address, found.desired);
    return settle(options, found, result.kind === 'gone' ? refused(result.reason) : result, {
      annotations: 0,
      completed: false,
      partial: false,
    });
  }
  const asked = await resolveUncertainty(options, beginNewRun(found));
  return asked.kind === 'postponed' ? asked.outcome : sendCheck(options, asked.row, found.desired);
}

/** A run that has completed stays as it is; when work begins again, GitHub shows only a new run as such. */
function beginNewRun(row: OutboxRow): OutboxRow {
  if (row.desired.kind !== 'check' || row.desired.status === 'completed' || !row.sentCompleted) return row;
  return {
    ...row,
    run: row.run + 1,
    githubId: undefined,
    sentCompleted: false,
    uncertain: false,
    annotationsSent: 0,
  };
}

type Resolved =
  | { readonly kind: 'known'; readonly row: OutboxRow }
  | { readonly kind: 'postponed'; readonly outcome: SendOutcome };

/** After a call whose answer was lost: asks GitHub whether the run is there, and how much it has. */
async function resolveUncertainty(options: SendOptions, row: OutboxRow): Promise<Resolved> {
  const mattered =
    row.githubId === undefined || (row.desired.kind === 'check' && row.desired.annotations.length > 0);
  if (!row.uncertain || !mattered) return { kind: 'known', row };
  const found = await options.transport.findCheck(row.address, row.desired.name, externalIdOf(row));
  if (found.kind === 'later') {
    return {
      kind: 'postponed',
      outcome: await settle(options, row, found, {
        annotations: row.annotationsSent,
        completed: false,
        partial: true,
      }),
    };
  }
  if (found.kind !== 'sent' || found.githubId === undefined) {
    // Not there: a create never arrived. An update finds out by itself when its run is gone.
    const annotationsSent = row.githubId === undefined ? 0 : row.annotationsSent;
    return { kind: 'known', row: { ...row, annotationsSent } };
  }
  const annotationsSent = found.annotationCount ?? row.annotationsSent;
  return { kind: 'known', row: { ...row, githubId: found.githubId, annotationsSent } };
}

async function sendCheck(options: SendOptions, row: OutboxRow, wish: DesiredCheck): Promise<SendOutcome> {
  const { check, annotations, partial } = deliveryOf(row, wish);
  const claimed = row.annotationsSent + annotations.length;
  await changeRow(options.db, row.id, {
    uncertain: true,
    run: row.run,
    github_id: row.githubId ?? null,
    sent_completed: row.sentCompleted,
    annotations_sent: claimed,
  });
  const result =
    row.githubId === undefined
      ? await options.transport.createCheck(row.address, { ...check, annotations }, externalIdOf(row))
      : await options.transport.updateCheck(row.address, row.githubId, check, annotations);
  const lost = result.kind === 'sent' && (result.githubId ?? row.githubId) === undefined;
  return settle(options, row, lost ? withoutId : result, {
    annotations: claimed,
    completed: check.status === 'completed',
    partial,
  });
}

/** What of the wish the next call carries. */
function deliveryOf(row: OutboxRow, wish: DesiredCheck): Delivery {
  if (row.degraded) return { check: degradedCheck(wish), annotations: [], partial: false };
  const isGate = wish.name === gateName && wish.status === 'completed';
  if (isGate && row.githubId === undefined && row.siblingsToCreate) {
    return { check: openedCheck(wish), annotations: [], partial: true };
  }
  const annotations = wish.annotations.slice(row.annotationsSent).slice(0, limits.annotationsPerRequest);
  return {
    check: wish,
    annotations,
    partial: row.annotationsSent + annotations.length < wish.annotations.length,
  };
}

interface Sent {
  /** Annotations GitHub has, should it have taken the call. */
  readonly annotations: number;
  readonly completed: boolean;
  readonly partial: boolean;
}

/** Stores GitHub's answer. */
async function settle(
  options: SendOptions,
  row: OutboxRow,
  result: SendResult,
  sent: Sent,
): Promise<SendOutcome> {
  const { db } = options;
  switch (result.kind) {
    case 'sent':
      return settleSent(options, row, result.githubId, sent);
    case 'later':
      return postpone(options, row, result);
    case 'gone':
      options.log.info({ report: row.id, reason: result.reason }, 'a check run is gone, it is created anew');
      await changeRow(db, row.id, {
        github_id: null,
        run: row.run + 1,
        tries: row.tries + 1,
        sent_completed: false,
        uncertain: false,
        annotations_sent: 0,
        last_error: result.reason,
        // The first time at once; runs that keep vanishing must not keep us busy.
        ...(row.tries > 0
          ? { not_before: later(options, retrySeconds(row.tries, undefined, options.random())) }
          : {}),
      });
      return { kind: 'done' };
    case 'refused':
      return settleRefused(options, row, result);
  }
}

async function settleSent(
  options: SendOptions,
  row: OutboxRow,
  githubId: number | undefined,
  sent: Sent,
): Promise<SendOutcome> {
  const terminal = row.desired.kind === 'check' ? row.desired.status === 'completed' : true;
  const change: RowChange = {
    github_id: githubId ?? row.githubId ?? null,
    run: row.run,
    tries: 0,
    not_before: null,
    // Why GitHub has only the smaller one; operators see it on the page.
    ...(row.degraded ? {} : { last_error: null }),
    uncertain: false,
    sent_completed: sent.completed,
    annotations_sent: sent.annotations,
    progress_after: terminal ? null : nextProgress(row.desired, options.now()),
  };
  if (sent.partial) await changeRow(options.db, row.id, change);
  else await noteSent(options.db, row.id, row.version, change);
  return { kind: 'done' };
}

async function postpone(
  options: SendOptions,
  row: OutboxRow,
  result: Extract<SendResult, { kind: 'later' }>,
): Promise<SendOutcome> {
  const { db, now, random } = options;
  if (result.installationWide) {
    const until = later(options, pauseSeconds(row.tries, result.afterSeconds, random()));
    await db('installations').where({ id: row.address.installationId }).update({ paused_until: until });
    // GitHub answered, so nothing was written. The pause is the wait.
    await changeRow(db, row.id, {
      tries: row.tries + 1,
      last_error: result.reason,
      uncertain: row.uncertain,
      annotations_sent: row.annotationsSent,
    });
    return { kind: 'paused', until };
  }
  const until = later({ now }, retrySeconds(row.tries, result.afterSeconds, random()));
  await changeRow(db, row.id, { tries: row.tries + 1, not_before: until, last_error: result.reason });
  return { kind: 'later', until };
}

async function settleRefused(options: SendOptions, row: OutboxRow, refusal: Refusal): Promise<SendOutcome> {
  const next = afterRefusal(options, row, refusal);
  const { reason } = refusal;
  const { report, name, sha } = { report: row.id, name: row.desired.name, sha: row.address.sha };
  options.log.warn({ report, name, sha, reason }, `GitHub refused a report, ${next.words}`);
  await changeRow(options.db, row.id, {
    uncertain: false,
    annotations_sent: row.annotationsSent,
    last_error: reason,
    ...next.change,
  });
  await notify(options.db, revisionChannel, String(row.revisionId));
  return { kind: 'done' };
}

type Refusal = Extract<SendResult, { kind: 'refused' }>;

/** Tries of a gate or summary that GitHub refuses, a minute in all. */
const triesOfEssentials = 5;

/**
 * A smaller report is tried at once. Gate and summary must be there whatever happens, and GitHub is known
 * to deny a commit that was pushed a moment ago: they are tried a few times more.
 */
function afterRefusal(
  options: SendOptions,
  row: OutboxRow,
  { misplaced }: Refusal,
): { readonly words: string; readonly change: RowChange } {
  if (row.desired.kind === 'check' && !row.degraded && !misplaced) {
    return { words: 'a smaller one is sent', change: { degraded: true } };
  }
  const essential = row.desired.name === gateName || row.desired.name === summaryStatusName;
  if (!essential || row.tries + 1 >= triesOfEssentials) {
    return { words: 'it is given up', change: { given_up: true } };
  }
  const again = later(options, retrySeconds(row.tries, undefined, options.random()));
  const change = { degraded: false, tries: row.tries + 1, not_before: again };
  return { words: 'it is tried again', change };
}

function nextProgress(desired: DesiredReport, now: Date): Date {
  const startedAt =
    desired.kind === 'check' && desired.startedAt ? Date.parse(desired.startedAt) : now.getTime();
  const age = Math.max(0, now.getTime() - startedAt);
  // The first words of a gate are that it waits: what it is about is told soon after.
  const first = desired.name === gateName ? Math.max(gateFirstMs, age) : progressEveryMs;
  return new Date(now.getTime() + Math.max(Math.min(first, progressEveryMs), age * progressShare));
}

/** Not to be taken for sent: without its id the run could never be updated. */
const withoutId: SendResult = {
  kind: 'later',
  reason: 'GitHub did not tell the id of the check run it made.',
  afterSeconds: undefined,
  installationWide: false,
};

function refused(reason: string): SendResult {
  return { kind: 'refused', reason };
}

function later(options: Pick<SendOptions, 'now'>, seconds: number): Date {
  return new Date(options.now().getTime() + seconds * 1000);
}
