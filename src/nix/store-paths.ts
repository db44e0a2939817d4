/** The part of a store that closures are copied from and to. */
import { OperatorError } from '../basics/index.ts';
import type { PathSink, PathSource } from './copy-closure.ts';
import {
  addMultipleToStore,
  type ConnectionPool,
  DaemonRefusal,
  narFromPath,
  type PathInfo,
  queryPathInfo,
  queryValidPaths,
} from './daemon/index.ts';
import { plainMessage } from './outcome.ts';

/** Moves paths through a pool's connections. `name` is the store's, for messages. */
export function storePaths(name: string, pool: ConnectionPool): PathSource & PathSink {
  const refused = (message: string) => {
    const words = plainMessage(message);
    const unsigned = /lacks a (valid )?signature/.test(words);
    return new OperatorError({
      code: unsigned ? 'nix-store-untrusting' : 'nix-store-error',
      message: `The Nix store '${name}' answered: ${words}`,
      ...(unsigned && {
        hint: 'Its daemon takes unsigned paths only from trusted users: add the user to `trusted-users` in its nix.conf.',
      }),
    });
  };

  const pathInfos = async (paths: readonly string[]): Promise<Map<string, PathInfo>> => {
    const found = new Map<string, PathInfo>();
    if (paths.length === 0) return found;
    const lease = await pool.lease();
    try {
      const replies = await lease.connection.callAll(paths.map(queryPathInfo));
      for (const [index, reply] of replies.entries()) {
        if (!reply.ok) throw refused(reply.error.message);
        const path = paths[index];
        if (path !== undefined && reply.value !== undefined) found.set(path, reply.value);
      }
      // The daemon's process would go on believing that these are not valid, whatever is added.
      if (found.size < paths.length) await lease.connection.close();
      return found;
    } finally {
      lease.release();
    }
  };

  return {
    pathInfos,
    async *nar(path, info) {
      const known = info ?? (await pathInfos([path])).get(path);
      if (known === undefined) throw refused(`path '${path}' is not valid`);
      const lease = await pool.lease();
      try {
        yield* lease.connection.receive(narFromPath(path), known.narBytes);
      } catch (error) {
        throw error instanceof DaemonRefusal ? refused(error.message) : error;
      } finally {
        lease.release();
      }
    },
    validPaths: async (paths, substitute) => {
      if (paths.length === 0) return new Set();
      const reply = await pool.query(queryValidPaths(paths, substitute));
      if (!reply.ok) throw refused(reply.error.message);
      return reply.value;
    },
    add: async (entries) => {
      if (entries.length === 0) return;
      const lease = await pool.lease();
      try {
        const reply = await lease.connection.call(addMultipleToStore(entries, { unsigned: true }));
        if (!reply.ok) throw refused(reply.error.message);
      } finally {
        lease.release();
      }
    },
  };
}
