/**
 * From what a daemon says of a build to what the product tells apart. The status alone does not do:
 * Nix gives one and the same to a wrong hash and a missing output, and tells of a system it cannot
 * build for by failing the whole operation. So its words are looked at too; those of Nix 2.8 to 2.34
 * are known.
 */
import { stripVTControlCharacters } from 'node:util';
import type { BuildReply, BuildStatus } from './daemon/index.ts';
import type { RealiseStatus } from './types.ts';

const byStatus: Readonly<Record<BuildStatus, RealiseStatus>> = {
  built: 'built',
  substituted: 'substituted',
  'already-valid': 'already-valid',
  'resolves-to-already-valid': 'already-valid',
  'permanent-failure': 'failed',
  'input-rejected': 'failed',
  'output-rejected': 'failed',
  // Nix 2.8 gives this to every failure of a fixed-output derivation, since the network may be to blame.
  'transient-failure': 'failed',
  'cached-failure': 'failed',
  'misc-failure': 'failed',
  'timed-out': 'timed-out',
  'dependency-failed': 'dependency-failed',
  'log-limit-exceeded': 'log-limit',
  'not-deterministic': 'non-deterministic',
  'no-substituters': 'infrastructure',
  'hash-mismatch': 'output-mismatch',
  cancelled: 'cancelled',
};

/** Nix's own words, which it also adds to the failure of a build where the disk has no 8 MiB left. */
const fullDisk = /No space left on device|lack of free disk space|database or disk is full/;

/** Words that say more than the status. The first that fits decides. */
const byWords: readonly (readonly [RegExp, RealiseStatus])[] = [
  [/hash mismatch in fixed-output derivation/, 'output-mismatch'],
  [/is required to build .*but I am a|required system or feature not available/s, 'unsupported-system'],
  [/timed out after \d+ seconds of silence/, 'silent-timeout'],
  [fullDisk, 'out-of-disk'],
  [/dependencies of derivation .* failed to build|\d+ dependenc(y|ies) failed/, 'dependency-failed'],
  [/Cannot allocate memory|Too many open files|Resource temporarily unavailable/, 'infrastructure'],
  [/so checking is not possible/, 'infrastructure'],
  [/cannot build missing derivation|while setting up the build environment/, 'infrastructure'],
  [/the group '.*' specified in 'build-users-group'|all build users are currently in use/, 'infrastructure'],
  [
    /this system does not support the kernel namespaces|cannot open connection to remote store/,
    'infrastructure',
  ],
];

/** Statuses that mean the outputs are there, whatever is said besides. */
const good: ReadonlySet<RealiseStatus> = new Set(['built', 'substituted', 'already-valid']);

export function isGood(status: RealiseStatus): boolean {
  return good.has(status);
}

/** How a build ended that the daemon gave a result for. */
export function statusOfReply(reply: Pick<BuildReply, 'status' | 'message'>): RealiseStatus {
  const plain = byStatus[reply.status];
  if (isGood(plain)) return plain;
  return statusOfWords(plainMessage(reply.message)) ?? plain;
}

/** How a build ended that the daemon answered with an error for the operation as a whole. */
export function statusOfError(message: string): RealiseStatus {
  return statusOfWords(plainMessage(message)) ?? 'infrastructure';
}

/** What trouble around a build means: with bringing its inputs, or fetching its outputs. */
export function statusOfTrouble(message: string): 'out-of-disk' | 'infrastructure' {
  return fullDisk.test(message) ? 'out-of-disk' : 'infrastructure';
}

/** Nix's words without colours, the `error:` in front, and the advice to look at the log. */
export function plainMessage(message: string): string {
  return stripVTControlCharacters(message)
    .replace(/^error:\s*/, '')
    .replace(/[;.]?\s*For full logs, run .*$/s, '')
    .trim();
}

function statusOfWords(message: string): RealiseStatus | undefined {
  const own = message.replace(quotedLog, '');
  return byWords.find(([words]) => words.test(own))?.[1];
}

/** A daemon that does not take our settings quotes the log; what a builder printed is not Nix's word. */
const quotedLog = /^\s*(?:> .*|>)$/gm;
