import { z } from 'zod';
import { type Reader, readRow } from './reader.ts';

/** Every viewer of a project asks for every notification, and the answer never changes. */
const remembered = 5_000;

/** The project of a revision, or undefined when visitors must not see it. */
export function createProjectLookup(reader: Reader): (revisionId: number) => Promise<number | undefined> {
  const known = new Map<number, Promise<number | undefined>>();
  async function look(revisionId: number): Promise<number | undefined> {
    const row = await readRow(
      reader,
      z.object({ id: z.number() }),
      `SELECT p.id FROM revisions r JOIN projects p ON p.id = r.project_id
       WHERE r.id = :revisionId AND (:showPrivate OR NOT p.private)`,
      { revisionId },
    );
    return row?.id;
  }
  return async (revisionId) => {
    if (!Number.isSafeInteger(revisionId)) return undefined;
    const before = known.get(revisionId);
    if (before) return before;
    if (known.size >= remembered) known.clear();
    const answer = look(revisionId);
    known.set(revisionId, answer);
    answer.catch(() => known.delete(revisionId));
    return answer;
  };
}
