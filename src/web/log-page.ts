/** The log on a page: the part that is shown, and its lines as they come. */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { readPhases } from '../logs/index.ts';
import { createAnsiRenderer } from './ansi.ts';
import { lastEventByte } from './api/build-routes.ts';
import type { EventStream } from './live/event-stream.ts';
import { followLog } from './live/log-stream.ts';
import { renderLog } from './log-lines.ts';
import type { PageContext } from './page-context.ts';
import type { LogView } from './pages/log-view.tsx';
import { type AttemptRow, readAttempt } from './read/builds.ts';
import { readLogWindow } from './read/log-window.ts';
import { attemptFace, isMachinesFault } from './words.ts';

const number = z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER).optional().catch(undefined);
/** `attempt` and `line` of a page's address; a stream's also has the byte that its page ends with. */
export const logQuery = z.object({ attempt: number, line: number, from: number });

/** `stream`: the address of the page's own stream. */
export async function viewLog(
  { reader, firstErrors }: Pick<PageContext, 'reader' | 'firstErrors'>,
  attempt: AttemptRow,
  line: number | undefined,
  stream: string,
): Promise<LogView> {
  const live = !attempt.log_complete && attempt.state !== 'lost';
  const failed = attemptFace(attempt).tone === 'danger' && !isMachinesFault(attempt);
  const [window, phases, first] = await Promise.all([
    readLogWindow(reader, attempt, line),
    readPhases(reader.db, [attempt.id]),
    failed ? firstErrors.find(attempt) : undefined,
  ]);
  return {
    attempt,
    window,
    phases,
    live,
    firstError: first?.line,
    stream: `${stream}?attempt=${attempt.id}`,
  };
}

interface Position {
  readonly byte: number;
  /** Number of the line that starts there. */
  readonly line: number;
}

/** Sends rendered lines. An event's id is `byte:line`, where a viewer who comes back goes on. */
export async function streamLines(
  { reader, logs }: Pick<PageContext, 'reader' | 'logs'>,
  stream: EventStream,
  {
    attempt,
    from,
    isVisible,
  }: { readonly attempt: AttemptRow; readonly from: Position; isVisible(): Promise<boolean> },
): Promise<void> {
  let line = from.line;
  const renderer = createAnsiRenderer();
  const isLost = async () => (await readAttempt(reader, attempt.id))?.state === 'lost';
  const options = { db: reader.db, attemptId: attempt.id, fromByte: from.byte, isLost, isVisible };
  await followLog(options, logs, stream, async ({ bytes, nextByte }) => {
    const lines = renderLog(bytes, renderer);
    const data = JSON.stringify({ first: line, lines });
    line += lines.length;
    await stream.send({ name: 'lines', id: `${nextByte}:${line}`, data });
  });
  await stream.send({ name: 'end', data: '' });
}

/** Where a stream goes on: where the viewer was, else where the page ends. */
export function startOf(request: FastifyRequest): Position {
  const query = logQuery.parse(request.query);
  const header = request.headers['last-event-id'];
  const byte = lastEventByte(header);
  const line = /:(\d+)$/.exec(String(header))?.[1];
  return byte === undefined || line === undefined
    ? { byte: query.from ?? 0, line: query.line ?? 1 }
    : { byte, line: Number(line) };
}
