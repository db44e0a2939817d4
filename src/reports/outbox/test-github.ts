/**
 * A GitHub for the outbox's tests: keeps check runs and statuses as GitHub would, and does what a
 * test tells it to do instead. It stands at the seam, in the place of the GitHub App.
 */
import type { Annotation, DesiredCheck, DesiredStatus, ReportTransport, SendResult } from '../types.ts';

export interface RecordedRun {
  readonly id: number;
  readonly externalId: string;
  /** Every version GitHub was given, oldest first. */
  readonly versions: readonly DesiredCheck[];
  readonly annotations: readonly Annotation[];
}

export type Fault =
  /** Answered instead of doing anything. */
  | { readonly kind: 'answer'; readonly result: SendResult }
  /** Does it, and the answer is lost: what the caller awaits then never ends well. */
  | { readonly kind: 'lost-answer' }
  /** Does it, and the caller's process dies before it sees the answer. */
  | { readonly kind: 'crash' };

export interface Call {
  readonly method: 'createCheck' | 'updateCheck' | 'findCheck' | 'setStatus';
  readonly name: string;
}

/** What a check run was made to show, in the order in which GitHub was told. */
export interface Shown {
  readonly name: string;
  readonly status: DesiredCheck['status'];
}

export class Crash extends Error {}

export function createRecordingGitHub() {
  const runs: RecordedRun[] = [];
  const statuses: DesiredStatus[] = [];
  const calls: Call[] = [];
  const history: Shown[] = [];
  let fault: (call: Call) => Fault | undefined = () => undefined;
  let active = 0;
  let mostActive = 0;
  let during: (call: Call) => Promise<void> = async () => {};

  async function perform(call: Call, act: () => SendResult): Promise<SendResult> {
    calls.push(call);
    active++;
    mostActive = Math.max(mostActive, active);
    try {
      await during(call);
      const injected = fault(call);
      if (injected?.kind === 'answer') return injected.result;
      const result = act();
      if (injected?.kind === 'crash') throw new Crash('the process died');
      return injected?.kind === 'lost-answer' ? noAnswer : result;
    } finally {
      active--;
    }
  }

  const transport: ReportTransport = {
    createCheck: (_, check, externalId) =>
      perform({ method: 'createCheck', name: check.name }, () => {
        const id = 1000 + runs.length;
        history.push({ name: check.name, status: check.status });
        runs.push({ id, externalId, versions: [check], annotations: check.annotations });
        return { kind: 'sent', githubId: id };
      }),
    updateCheck: (_, githubId, check, newAnnotations) =>
      perform({ method: 'updateCheck', name: check.name }, () => {
        const index = runs.findIndex((run) => run.id === githubId);
        const run = runs[index];
        if (!run) return { kind: 'gone', reason: 'Not Found' };
        history.push({ name: check.name, status: check.status });
        runs[index] = {
          ...run,
          versions: [...run.versions, check],
          annotations: [...run.annotations, ...newAnnotations],
        };
        return { kind: 'sent', githubId };
      }),
    findCheck: (_, name, externalId) =>
      perform({ method: 'findCheck', name }, () => {
        const run = runs.find((candidate) => candidate.externalId === externalId);
        return run
          ? { kind: 'sent', githubId: run.id, annotationCount: run.annotations.length }
          : { kind: 'gone', reason: 'none' };
      }),
    setStatus: (_, status) =>
      perform({ method: 'setStatus', name: status.name }, () => {
        statuses.push(status);
        return { kind: 'sent', githubId: 1 };
      }),
    listChecks: async () => ({
      kind: 'listed',
      checks: runs.flatMap(({ id, versions }) => {
        const last = versions.at(-1);
        return last ? [{ id, status: last.status, conclusion: last.conclusion ?? null }] : [];
      }),
    }),
  };

  return {
    transport,
    runs,
    statuses,
    calls,
    history,
    /** As if nothing had ever been sent. */
    forget() {
      for (const list of [runs, statuses, calls, history]) list.length = 0;
    },
    /** Says for each call from now on whether something happens to it. */
    inject(rule: (call: Call) => Fault | undefined) {
      fault = rule;
    },
    /** Runs in the middle of each call. */
    whileCalled(action: (call: Call) => Promise<void>) {
      during = action;
    },
    mostCallsAtOnce: () => mostActive,
    runsNamed: (name: string) => runs.filter((run) => run.versions.some((version) => version.name === name)),
    removeRun(id: number) {
      runs.splice(
        runs.findIndex((run) => run.id === id),
        1,
      );
    },
  };
}

export const noAnswer: SendResult = {
  kind: 'later',
  reason: 'socket hang up',
  afterSeconds: undefined,
  installationWide: false,
};
