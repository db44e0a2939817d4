/**
 * Signatures of store paths. Nix's keys are `name:` and base 64: of 64 bytes for a secret key (the
 * seed, then the public key), of 32 for a public one. A signature is `name:` and 64 bytes.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto';
import { OperatorError } from '../basics/index.ts';
import type { PathInfo } from '../nix/index.ts';
import { formatHash } from './hashes.ts';

/** What of a path is signed. */
export type SignedInfo = Pick<PathInfo, 'narHash' | 'narBytes' | 'references'>;

export interface SigningKey {
  /** `name:base64`, for `trusted-public-keys`. */
  readonly publicKey: string;
  sign(storePath: string, info: SignedInfo): string;
}

/** Tells whether one of the signatures was made with one of the keys. */
export type Verifier = (storePath: string, info: SignedInfo, signatures: Iterable<string>) => boolean;

/** What a signature covers. References are full paths, in the order of their bytes. */
export function fingerprint(storePath: string, info: SignedInfo): string {
  const references = [...info.references].sort();
  return `1;${storePath};${formatHash(info.narHash)};${info.narBytes};${references.join(',')}`;
}

/** A new secret key, as Nix writes it into files. */
export function generateSecretKey(name: string): string {
  const { d, x } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const bytes = Buffer.concat([Buffer.from(d ?? '', 'base64url'), Buffer.from(x ?? '', 'base64url')]);
  return `${name}:${bytes.toString('base64')}`;
}

/** Reads a secret key. Throws an OperatorError that does not quote it. */
export function parseSecretKey(text: string): SigningKey {
  const { name, bytes } = splitKey(text);
  if (name === '' || bytes.length !== 64) {
    throw new OperatorError({
      code: 'bad-signing-key',
      message: 'The secret key of the cache is not a key of Nix.',
      hint: 'Make one with `nix-store --generate-binary-cache-key NAME SECRET-FILE PUBLIC-FILE`.',
      exitStatus: 3,
    });
  }
  const d = bytes.subarray(0, 32).toString('base64url');
  const x = bytes.subarray(32).toString('base64url');
  const key = createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', d, x }, format: 'jwk' });
  return {
    publicKey: `${name}:${bytes.subarray(32).toString('base64')}`,
    sign: (storePath, info) => {
      const signature = signBytes(null, Buffer.from(fingerprint(storePath, info)), key);
      return `${name}:${signature.toString('base64')}`;
    },
  };
}

/** A verifier for public keys. Throws an OperatorError for what is no key. */
export function createVerifier(publicKeys: readonly string[]): Verifier {
  const keys = new Map(publicKeys.map(parsePublicKey));
  return (storePath, info, signatures) => {
    for (const signature of signatures) {
      const { name, bytes } = splitKey(signature);
      const key = keys.get(name);
      if (key === undefined || bytes.length !== 64) continue;
      if (verifyBytes(null, Buffer.from(fingerprint(storePath, info)), key, bytes)) return true;
    }
    return false;
  };
}

function parsePublicKey(text: string): [string, KeyObject] {
  const { name, bytes } = splitKey(text);
  if (name === '' || bytes.length !== 32) {
    throw new OperatorError({
      code: 'bad-public-key',
      message: `'${text}' is not a public key of a cache.`,
      hint: 'One looks like cache.example.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=',
      exitStatus: 3,
    });
  }
  const x = bytes.toString('base64url');
  return [name, createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })];
}

function splitKey(text: string): { readonly name: string; readonly bytes: Buffer } {
  const colon = text.indexOf(':');
  const encoded = text.slice(colon + 1).trim();
  return { name: text.slice(0, Math.max(colon, 0)).trim(), bytes: Buffer.from(encoded, 'base64') };
}
