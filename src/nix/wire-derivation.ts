/** Derivations as daemons take them for building: all inputs as paths, strings as bytes. */
import { derivationBytes } from './aterm.ts';
import type { WireDerivation } from './daemon/index.ts';
import type { ResolvedDerivation } from './types.ts';

export function wireDerivation({ derivation, inputs }: ResolvedDerivation): WireDerivation {
  return {
    outputs: [...derivation.outputs].map(
      ([name, { path, hashAlgorithm, hash }]) => [name, path ?? '', hashAlgorithm ?? '', hash ?? ''] as const,
    ),
    inputs,
    system: derivation.system,
    builder: derivationBytes(derivation.builder),
    arguments: derivation.arguments.map(derivationBytes),
    environment: [...derivation.environment].map(
      ([name, value]) => [derivationBytes(name), derivationBytes(value)] as const,
    ),
  };
}
