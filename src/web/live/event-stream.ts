/** Server-sent events (WHATWG HTML, 9.2): streams that browsers open again by themselves. */
import { once } from 'node:events';
import type { FastifyReply } from 'fastify';
import { problem } from '../problem.ts';

/**
 * Proxies close silent connections after a minute; a comment now and then keeps them. A viewer who took
 * nothing between two of them is gone or wants to fill our memory: it is cut off, and a browser that
 * wakes up comes back by itself.
 */
const defaultHeartbeatMs = 20_000;
/** What a browser waits before it comes back. */
const retryMs = 2_000;

export interface EventStream {
  /** Aborted when the viewer left or the server ends. */
  readonly signal: AbortSignal;
  /** Resolves when the viewer can take more. */
  send(event: { readonly name?: string; readonly id?: string; readonly data: string }): Promise<void>;
  end(): void;
}

export interface EventStreams {
  open(reply: FastifyReply): EventStream;
  /** Ends all streams: an open one would keep the server from closing. */
  closeAll(): void;
  readonly size: number;
}

export interface EventStreamLimits {
  /** Streams at a time. */
  readonly streams?: number;
  /** Milliseconds between two signs of life. */
  readonly heartbeatMs?: number;
}

/** The streams of one server. */
export function createEventStreams(limits: EventStreamLimits = {}): EventStreams {
  const { streams: limit = 2_000, heartbeatMs = defaultHeartbeatMs } = limits;
  const streams = new Set<EventStream>();
  let closed = false;

  function open(reply: FastifyReply): EventStream {
    if (closed || streams.size >= limit)
      throw problem(503, 'too-many-streams', 'Too many live views are open.');
    const headers = reply.getHeaders();
    reply.hijack();
    const response = reply.raw;
    for (const [name, value] of Object.entries(headers))
      if (value !== undefined) response.setHeader(name, value);
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Kept alive, the connection would hold the server open for a minute after the stream's end.
      connection: 'close',
      // nginx would hold events back.
      'x-accel-buffering': 'no',
    });
    response.write(`retry: ${retryMs}\n\n`);
    const controller = new AbortController();
    let taken = true;
    const heartbeat = setInterval(() => {
      if (!taken && response.writableNeedDrain) response.destroy();
      else if (!response.writableNeedDrain) response.write(': still here\n\n');
      taken = !response.writableNeedDrain;
    }, heartbeatMs);
    const stream: EventStream = {
      signal: controller.signal,
      async send({ name, id, data }) {
        if (controller.signal.aborted) return;
        const lines = data.split('\n').map((line) => `data: ${line}\n`);
        const text = `${name ? `event: ${name}\n` : ''}${id ? `id: ${id}\n` : ''}${lines.join('')}\n`;
        if (!response.write(text)) {
          await once(response, 'drain', { signal: controller.signal }).catch(() => {});
        }
      },
      end: () => response.end(),
    };
    response.once('close', () => {
      clearInterval(heartbeat);
      streams.delete(stream);
      controller.abort();
    });
    // A viewer that vanishes makes writes fail; `close` follows and says all there is to say.
    response.on('error', () => {});
    streams.add(stream);
    return stream;
  }

  return {
    open,
    closeAll() {
      closed = true;
      for (const stream of streams) stream.end();
    },
    get size() {
      return streams.size;
    },
  };
}
