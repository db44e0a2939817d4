import type { Knex } from 'knex';
import { z } from 'zod';
import { unpack } from './pack.ts';

/** A stretch of a log. */
export interface LogSlice {
  readonly bytes: Buffer;
  /** Offset of the first byte after this slice. */
  readonly nextByte: number;
  /** Whether the log is finished and this slice reaches its end. */
  readonly complete: boolean;
}

/** The end of a log, for people. */
export interface LogTail {
  readonly lines: readonly string[];
  /** Lines of the whole log. */
  readonly totalLines: number;
}

const attemptRow = z.object({ log_bytes: z.number(), log_lines: z.number(), log_complete: z.boolean() });
const chunkRow = z.object({
  position: z.number(),
  bytes: z.instanceof(Buffer),
  packing: z.string().nullable(),
});

/** Reads up to `maxBytes` of an attempt's log from a byte offset. Empty for an unknown attempt. */
export async function readLog(
  db: Knex,
  attemptId: number,
  { fromByte, maxBytes }: { readonly fromByte: number; readonly maxBytes: number },
): Promise<LogSlice> {
  // Read before the chunks: bytes that arrive in between are then seen by the next call.
  const attempt = await readAttempt(db, attemptId);
  const rows = await db('log_chunks')
    .select('position', 'bytes', 'packing')
    .where('attempt_id', attemptId)
    // The piece that holds `fromByte` starts at or before it.
    .andWhere('position', '>=', (query: Knex.QueryBuilder) =>
      query
        .select(db.raw('coalesce(max(position), 0)'))
        .from('log_chunks')
        .where('attempt_id', attemptId)
        .andWhere('position', '<=', fromByte),
    )
    .andWhere('position', '<', fromByte + maxBytes)
    .orderBy('position');
  const parts: Buffer[] = [];
  let size = 0;
  for (const row of z.array(chunkRow).parse(rows)) {
    const bytes = await unpack(row.bytes, row.packing);
    const part = bytes.subarray(Math.max(0, fromByte - row.position), undefined);
    parts.push(part.subarray(0, maxBytes - size));
    size += parts.at(-1)?.length ?? 0;
  }
  const nextByte = fromByte + size;
  return {
    bytes: Buffer.concat(parts),
    nextByte,
    complete: attempt === undefined || (attempt.log_complete && nextByte >= attempt.log_bytes),
  };
}

/** The last lines of an attempt's log, at most `lines` of them and about `maxBytes` bytes. */
export async function tailLog(
  db: Knex,
  attemptId: number,
  { lines, maxBytes }: { readonly lines: number; readonly maxBytes: number },
): Promise<LogTail> {
  const attempt = await readAttempt(db, attemptId);
  if (!attempt || attempt.log_bytes === 0) return { lines: [], totalLines: 0 };
  const from = Math.max(0, attempt.log_bytes - maxBytes);
  const slice = await readLog(db, attemptId, { fromByte: from, maxBytes });
  const all = slice.bytes.toString('utf8').split('\n');
  if (all.at(-1) === '') all.pop();
  // The first line is only whole when it starts where the log or a line starts.
  if (from > 0 && all.length > 1) all.shift();
  return { lines: all.slice(-lines), totalLines: attempt.log_lines };
}

async function readAttempt(db: Knex, attemptId: number): Promise<z.infer<typeof attemptRow> | undefined> {
  const row: unknown = await db('attempts')
    .select('log_bytes', 'log_lines', 'log_complete')
    .where('id', attemptId)
    .first();
  return row === undefined ? undefined : attemptRow.parse(row);
}
