/**
 * What each version of the protocol has. Both sides use the lower of their two versions. The major
 * version has been 1 since the beginning; the numbers below are minor versions.
 *
 *   1.34 Nix 2.8      1.35 Nix 2.15, Lix      1.37 Nix 2.18      1.38 Nix 2.24 and later
 */
import { ProtocolError } from './wire.ts';

export const magic = { client: 0x6e697863, daemon: 0x6478696f } as const;

/** The newest version this client knows. */
export const newestVersion = { major: 1, minor: 38 } as const;

/** The oldest: below it there is no BuildPathsWithResults. */
export const oldestMinor = 34;

/** The first minor version that has a part of the protocol. */
const gates = {
  /** The daemon tells whether it trusts the client. */
  trust: 35,
  /** Build results carry the processor time that was used. */
  processorTimes: 37,
  /** Both sides name optional features right after the versions. */
  featureNames: 38,
} as const;

export function has(minor: number, part: keyof typeof gates): boolean {
  return minor >= gates[part];
}

/** On the wire, a version is one number: the major version shifted by eight bits, and the minor. */
export function encodeVersion(version: { readonly major: number; readonly minor: number }): number {
  return version.major * 256 + version.minor;
}

/** The minor version both sides use, given what the daemon offers. */
export function negotiate(offered: number): number {
  const major = Math.floor(offered / 256);
  const minor = offered % 256;
  if (major !== newestVersion.major || minor < oldestMinor) {
    throw new ProtocolError(
      `the daemon speaks version ${major}.${minor} of the protocol; ` +
        `versions from 1.${oldestMinor} (Nix 2.8) on are understood`,
    );
  }
  return Math.min(minor, newestVersion.minor);
}
