/**
 * Packs logs that are over: many small pieces become a few packed blocks, small enough that a range
 * is still read quickly. One transaction a log, so a crash leaves it either as it was or packed.
 */
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { Knex } from 'knex';
import { z } from 'zod';

/** Bytes of a block before packing; pieces are never cut, so a block may be larger. */
const blockBytes = 128 * 1024;
/** What is smaller would hardly become smaller. */
const worthPacking = 512;

const pack = promisify(gzip);
const unpackGzip = promisify(gunzip);

/** The bytes of a piece as they were printed. */
export async function unpack(bytes: Buffer, packing: string | null): Promise<Buffer> {
  return packing === null ? bytes : unpackGzip(bytes);
}

/** Packs up to `limit` logs; returns how many. Any number of processes may do so at the same time. */
export async function packLogs(db: Knex, limit: number): Promise<number> {
  for (let packed = 0; packed < limit; packed += 1) {
    if (!(await db.transaction(packNext))) return packed;
  }
  return limit;
}

const pieceRow = z.object({ position: z.number(), first_line: z.number(), size: z.number() });
type Piece = z.infer<typeof pieceRow>;

async function packNext(trx: Knex.Transaction): Promise<boolean> {
  const attempt: { id: number } | undefined = await trx('attempts')
    .select('id')
    .where({ log_complete: true, log_packed: false })
    .andWhere('log_bytes', '>', 0)
    .whereNot('state', 'running')
    .orderBy('id')
    .forUpdate()
    .skipLocked()
    .first();
  if (!attempt) return false;
  const pieces: unknown = await trx('log_chunks')
    .select('position', 'first_line', trx.raw('length(bytes) AS size'))
    .where({ attempt_id: attempt.id })
    .whereNull('packing')
    .orderBy('position');
  for (const block of blocksOf(z.array(pieceRow).parse(pieces))) await packBlock(trx, attempt.id, block);
  await trx('attempts').where({ id: attempt.id }).update({ log_packed: true });
  return true;
}

function blocksOf(pieces: readonly Piece[]): readonly (readonly Piece[])[] {
  const blocks: Piece[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const piece of pieces) {
    if (size + piece.size > blockBytes) {
      blocks.push([]);
      size = 0;
    }
    blocks.at(-1)?.push(piece);
    size += piece.size;
  }
  return blocks;
}

async function packBlock(trx: Knex.Transaction, attemptId: number, block: readonly Piece[]): Promise<void> {
  const [first, last] = [block[0], block.at(-1)];
  if (!first || !last || block.reduce((sum, piece) => sum + piece.size, 0) < worthPacking) return;
  const within = () =>
    trx('log_chunks')
      .where({ attempt_id: attemptId })
      .whereBetween('position', [first.position, last.position]);
  const parts: Buffer[] = await within().orderBy('position').pluck('bytes');
  const bytes = await pack(Buffer.concat(parts));
  await within().delete();
  await trx('log_chunks').insert({
    attempt_id: attemptId,
    position: first.position,
    first_line: first.first_line,
    bytes,
    packing: 'gzip',
  });
}
