import { setTimeout as delay } from 'node:timers/promises';
import { createBell } from './bell.ts';
import type { EventStream } from './event-stream.ts';
import type { FanOut } from './fan-out.ts';

/** A page is told at most so often that it is out of date. */
const quietMs = 1_000;

/**
 * Says `changed` on a stream whenever a revision that the page shows has changed. It carries no
 * data: the page fetches itself again, so there is one way to render everything.
 */
export async function streamChanges(
  stream: EventStream,
  revisions: FanOut,
  concerns: (revisionId: number) => Promise<boolean> | boolean,
): Promise<void> {
  const bell = createBell(stream.signal);
  const stop = await revisions.watch((payload) => {
    if (payload === undefined) return bell.ring();
    // A question that cannot be answered now (the database is away) is answered by looking again.
    Promise.resolve(concerns(Number(payload))).then(
      (concerned) => concerned && bell.ring(),
      () => bell.ring(),
    );
  });
  try {
    while (await bell.wait()) {
      await stream.send({ name: 'changed', data: '' });
      await delay(quietMs, undefined, { signal: stream.signal }).catch(() => {});
    }
  } finally {
    stop();
  }
}
