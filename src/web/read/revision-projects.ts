import { z } from 'zod';
import { type Reader, readRow } from './reader.ts';

/** Every viewer of a project asks for every notification: answers are remembered, up to so many. */
const remembered = 5_000;
/** Milliseconds after which an answer is asked for again: repositories become private and public. */
const defaultFreshMs = 10_000;

/** The project of a revision, or undefined when visitors must not see it. */
export async function readRevisionProject(reader: Reader, revisionId: number): Promise<number | undefined> {
  const row = await readRow(
    reader,
    z.object({ id: z.number() }),
    `SELECT p.id FROM revisions r JOIN projects p ON p.id = r.project_id
     WHERE r.id = :revisionId AND (:showPrivate OR NOT p.private)`,
    { revisionId },
  );
  return row?.id;
}

/** {@link readRevisionProject} with a short memory. */
export function createProjectLookup(
  reader: Reader,
  freshMs: number = defaultFreshMs,
): (revisionId: number) => Promise<number | undefined> {
  const known = new Map<number, { readonly answer: Promise<number | undefined>; readonly until: number }>();
  return async (revisionId) => {
    if (!Number.isSafeInteger(revisionId)) return undefined;
    const before = known.get(revisionId);
    if (before && before.until > Date.now()) return before.answer;
    if (known.size >= remembered) known.clear();
    const answer = readRevisionProject(reader, revisionId);
    known.set(revisionId, { answer, until: Date.now() + freshMs });
    answer.catch(() => known.delete(revisionId));
    return answer;
  };
}
