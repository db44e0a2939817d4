/** Cursor paging. A cursor is opaque to clients; inside it is the number of the last row. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { problem } from '../problem.ts';

export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(50).describe('Rows of one page'),
  cursor: z.string().max(64).optional().describe('`nextCursor` of the page before'),
});

/** The number inside a cursor, or `first` without one. */
export function readCursor(cursor: string | undefined, first: number): number {
  if (cursor === undefined) return first;
  const number = Number(
    Buffer.from(cursor, 'base64url')
      .toString('utf8')
      .replace(/^after:/, ''),
  );
  if (Number.isSafeInteger(number) && number >= 0 && writeCursor(number) === cursor) return number;
  throw problem(400, 'bad-cursor', 'The cursor is not one of this server.', 'Start again without a cursor.');
}

function writeCursor(number: number): string {
  return Buffer.from(`after:${number}`).toString('base64url');
}

/**
 * Makes a page out of rows read with one more than `limit`, and says in a `Link` header where the
 * next one is.
 */
export function pageOf<Row, Item>(
  request: FastifyRequest,
  reply: FastifyReply,
  rows: readonly Row[],
  limit: number,
  shape: (row: Row) => Item,
  numberOf: (row: Row, index: number) => number,
): { items: Item[]; nextCursor: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const more = rows.length > limit && last !== undefined;
  const nextCursor = more ? writeCursor(numberOf(last, shown.length - 1)) : null;
  if (nextCursor !== null) {
    const url = new URL(request.url, 'http://host');
    url.searchParams.set('cursor', nextCursor);
    reply.header('link', `<${url.pathname}${url.search}>; rel="next"`);
  }
  return { items: shown.map(shape), nextCursor };
}
