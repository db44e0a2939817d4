/** The server's store as agents' builds need it: derivations with their inputs out, outputs in. */
import { type NixStore, readDerivation, resolvedText, type StoreLayout } from '../../nix/index.ts';
import { resolveInputs } from '../resolve-inputs.ts';
import type { AgentStore } from './types.ts';

export interface ServerNix {
  readonly store: Pick<NixStore, 'validPaths' | 'queryValidPaths'>;
  readonly layout: StoreLayout;
}

/** `nix` is asked each time: it may have been installed after the server was started. */
export function createAgentStore(nix: () => Promise<ServerNix>): AgentStore {
  return {
    async prepare(drvPath, known) {
      const { store, layout } = await nix();
      const read = (path: string) => readDerivation(layout, path);
      const resolved = known ?? (await resolveInputs(await read(drvPath), read));
      // What some cache has need not be here yet; what it has not any more, the agent may find elsewhere.
      await store.validPaths(resolved.inputs, true);
      return { derivation: resolvedText(resolved), inputs: resolved.inputs };
    },
    async collect(paths) {
      const { store } = await nix();
      // They came through the cache, which recomputes hashes before it takes a path in.
      const valid = await store.queryValidPaths(paths);
      const missing = paths.filter((path) => !valid.has(path));
      if (missing.length > 0) throw new Error(`${missing.join(', ')} did not arrive.`);
    },
  };
}
