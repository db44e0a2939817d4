import type { Knex } from 'knex';

/** The hash that a fixed-output derivation promises, and the one its output has. */
export interface HashMismatch {
  readonly specified: string;
  readonly got: string;
}

/** Reads Nix's words of a wrong hash; undefined when they are others. */
export function hashMismatchOf(message: string): HashMismatch | undefined {
  const specified = /^\s*(?:specified|wanted):\s*(\S{8,200})\s*$/m.exec(message)?.[1];
  const got = /^\s*got:\s*(\S{8,200})\s*$/m.exec(message)?.[1];
  return specified === undefined || got === undefined ? undefined : { specified, got };
}

/** Notes the hashes of builds that ended with the wrong ones. */
export async function rememberHashMismatches(
  trx: Knex.Transaction,
  ends: readonly { readonly buildId: number; readonly state: string; readonly message: string }[],
): Promise<void> {
  for (const { buildId, state, message } of ends) {
    const mismatch = state === 'output-mismatch' ? hashMismatchOf(message) : undefined;
    if (!mismatch) continue;
    await trx('builds')
      .where({ id: buildId })
      .update({ specified_hash: mismatch.specified, got_hash: mismatch.got });
  }
}
