/**
 * States of a build.
 *
 *     blocked ──inputs valid──> queued ──claimed──> building ──> succeeded | one of the bad ends
 *        └──an input ended badly──> dependency-failed
 *     building ──builder or process lost──> queued
 *     any unfinished ──> cancelled
 *
 * A finished build never changes again: a later wish for the same derivation is a new build.
 */
import type { AttemptStatus } from '../builders/index.ts';

export const unfinishedStates = ['blocked', 'queued', 'building'] as const;

/** Bad ends. The last two are the machines' fault and say nothing about the derivation. */
export const failureStates = [
  'failed',
  'dependency-failed',
  'timed-out',
  'silent-timeout',
  'log-limit',
  'output-mismatch',
  'non-deterministic',
  'unsupported-system',
  'out-of-disk',
  'builder-lost',
] as const;

export const finishedStates = ['succeeded', ...failureStates, 'cancelled'] as const;

export type UnfinishedState = (typeof unfinishedStates)[number];
export type FailureState = (typeof failureStates)[number];
export type FinishedState = (typeof finishedStates)[number];
export type BuildState = UnfinishedState | FinishedState;

export function isFinished(state: BuildState): state is FinishedState {
  return finishedStates.some((finished) => finished === state);
}

export function isFailure(state: BuildState): state is FailureState {
  return failureStates.some((failure) => failure === state);
}

/** Whether the machine is to blame, and not the build. */
export function isMachineFailure(status: AttemptStatus): boolean {
  return status === 'infrastructure' || status === 'out-of-disk' || status === 'builder-lost';
}

/** What the end of an attempt means for its build: it is over, or it must be tried again. */
export type AttemptVerdict =
  | { readonly kind: 'finished'; readonly state: FinishedState }
  | { readonly kind: 'try-again' };

/** A machine that fails this often in a row on one build is taken to be the build's fault. */
export const infrastructureTries = 5;

/**
 * Reads the end of an attempt. Trouble of the machine says nothing about the derivation, so it is
 * tried again, `failuresBefore` times remembered, until that has happened too often.
 */
export function verdictOf(status: AttemptStatus, failuresBefore: number): AttemptVerdict {
  switch (status) {
    case 'built':
    case 'substituted':
    case 'already-valid':
      return { kind: 'finished', state: 'succeeded' };
    case 'infrastructure':
    case 'out-of-disk':
    case 'builder-lost': {
      if (failuresBefore + 1 < infrastructureTries) return { kind: 'try-again' };
      return { kind: 'finished', state: status === 'out-of-disk' ? status : 'builder-lost' };
    }
    default:
      return { kind: 'finished', state: status };
  }
}

/** The word people read for a state, after the words of the product's pages and reports. */
export const stateWords = {
  blocked: 'queued',
  queued: 'queued',
  building: 'building',
  succeeded: 'built',
  failed: 'failed',
  'dependency-failed': 'dependency failed',
  'timed-out': 'timed out',
  'silent-timeout': 'timed out (no output)',
  'log-limit': 'log too large',
  'output-mismatch': 'output hash mismatch',
  'non-deterministic': 'not deterministic',
  'unsupported-system': 'no builder for its system',
  'out-of-disk': 'no disk space on the builders',
  'builder-lost': 'builders failed',
  cancelled: 'cancelled',
} as const satisfies Record<BuildState, string>;
