/** Operations that only whoever serves evaluations performs, on a daemon behind it. */
import type { Operation } from './operations.ts';
import { validPathInfo } from './path-operations.ts';
import type { AddedTree, StoredPath } from './serve-service.ts';
import { type Decoder, list, path, word } from './wire.ts';

/** Adds a file tree as a client of ours sends it. */
export function addTree(tree: AddedTree): Operation<StoredPath> {
  const repair = false;
  return {
    name: 'AddToStore',
    code: 7,
    parameters: [tree.fileName, tree.method, tree.references, repair],
    body: tree.content,
    reply: storedPath,
  };
}

function* storedPath(): Decoder<StoredPath> {
  return { path: yield* path(), info: yield* validPathInfo() };
}

/** Output name -> path, where it is known. */
export function queryOutputs(drvPath: string): Operation<ReadonlyMap<string, string | undefined>> {
  return {
    name: 'QueryDerivationOutputMap',
    code: 41,
    parameters: [drvPath],
    reply: function* () {
      return new Map(
        yield* list(function* (): Decoder<[string, string | undefined]> {
          return [yield* word(), (yield* word()) || undefined];
        }, 1000),
      );
    },
  };
}
