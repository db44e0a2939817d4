/** What tells a reader why a build failed: where its log complains, which lines of the commit it names, its hash. */
import { z } from 'zod';
import { isFailure } from '../../builds/index.ts';
import { tailLog } from '../../logs/index.ts';
import { attemptFace, isMachinesFault } from '../words.ts';
import { type AttemptRow, type BuildRow, listAttempts, readBuild } from './builds.ts';
import type { FirstError, FirstErrors } from './first-error.ts';
import { type Reader, readRow, readRows } from './reader.ts';

/** Lines of a log's end that are shown where nothing in it looks like an error. */
const endLines = 5;

const placeShape = z.object({
  path: z.string(),
  line: z.number(),
  message: z.string(),
  level: z.enum(['failure', 'warning']),
});
/** A line of the commit that a log names. */
export type LogPlace = z.infer<typeof placeShape>;

const hashShape = z.object({
  asked_by: z.string(),
  asked_at: z.date(),
  applied: z.boolean(),
  outcome: z.string().nullable(),
});
/** Somebody pressed 'Apply hash'. */
export type AppliedHash = z.infer<typeof hashShape>;

export interface Evidence {
  /** The build that failed by itself: the one asked for, what it needs, or the one whose failure is known. */
  readonly build: BuildRow;
  readonly own: boolean;
  /** The attempt that says why; none where it was never started. */
  readonly attempt: AttemptRow | undefined;
  readonly firstError: FirstError | undefined;
  /** The last lines, where there is no first error. */
  readonly end: FirstError | undefined;
  readonly places: readonly LogPlace[];
  readonly applied: AppliedHash | undefined;
}

/** Undefined for a build that did not fail. `revisionId`: the commit whose files are meant. */
export async function readEvidence(
  reader: Reader,
  firstErrors: FirstErrors,
  { build, revisionId }: { readonly build: BuildRow; readonly revisionId: number | undefined },
): Promise<Evidence | undefined> {
  if (!isFailure(build.state)) return undefined;
  const id = build.culprit_build_id ?? build.cached_failure_of ?? build.id;
  const failed = id === build.id ? build : await readBuild(reader, id);
  if (!failed) return undefined;
  const attempts = await listAttempts(reader, id);
  const attempt = attempts.find((one) => attemptFace(one).tone === 'danger' && !isMachinesFault(one));
  const firstError = attempt && (await firstErrors.find(attempt));
  const [places, applied, end] = await Promise.all([
    attempt && revisionId !== undefined ? readPlaces(reader, revisionId, attempt.id) : [],
    revisionId === undefined ? undefined : readAppliedHash(reader, revisionId, failed.specified_hash),
    attempt && !firstError ? readEnd(reader, attempt) : undefined,
  ]);
  return { build: failed, own: id === build.id, attempt, firstError, end, places, applied };
}

async function readEnd(reader: Reader, { id }: AttemptRow): Promise<FirstError | undefined> {
  const { lines, totalLines } = await tailLog(reader.db, id, { lines: endLines, maxBytes: 4_096 });
  if (lines.length === 0) return undefined;
  return { line: Math.max(1, totalLines - lines.length + 1), excerpt: Buffer.from(lines.join('\n')) };
}

async function readPlaces(
  reader: Reader,
  revisionId: number,
  attemptId: number,
): Promise<readonly LogPlace[]> {
  const row = await readRow(
    reader,
    z.object({ places: z.array(placeShape).catch([]) }),
    'SELECT places FROM build_places WHERE revision_id = :revisionId AND attempt_id = :attemptId',
    { revisionId, attemptId },
  );
  return row?.places ?? [];
}

async function readAppliedHash(
  reader: Reader,
  revisionId: number,
  specified: string | null,
): Promise<AppliedHash | undefined> {
  if (specified === null) return undefined;
  const [newest] = await readRows(
    reader,
    hashShape,
    `SELECT asked_by, asked_at, applied, outcome FROM hash_applications
     WHERE revision_id = :revisionId AND specified = :specified ORDER BY id DESC LIMIT 1`,
    { revisionId, specified },
  );
  return newest;
}
