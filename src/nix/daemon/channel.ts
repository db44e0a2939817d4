/**
 * A pair of byte streams on which decoders run. One decoder at a time: the protocol is a strict
 * sequence of questions and answers.
 */
import type { Readable, Writable } from 'node:stream';
import type { Decoder } from './wire.ts';

/** Two pipes to something that speaks the protocol, and how to get rid of it. */
export interface Transport {
  /** For messages. */
  readonly name: string;
  readonly input: Readable;
  readonly output: Writable;
  /** Lets go of the other side; resolves when it has stopped, as far as that can be known. */
  readonly destroy: () => Promise<void>;
  /** What the other side said on the way out, for example on stderr. May be empty. */
  readonly lastWords: () => Promise<string>;
}

/** The other side is gone. */
export class ConnectionLost extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = 'ConnectionLost';
  }
}

interface Reading {
  /** Feeds the decoder what has arrived; true when it is through. */
  readonly advance: () => boolean;
  readonly fail: (error: unknown) => void;
}

/** Bytes that may wait while nobody reads; then the other side is held up. */
const bufferedBytes = 256 * 1024;

export class Channel {
  readonly #transport: Transport;
  #chunks: Buffer[] = [];
  #available = 0;
  #reading: Reading | undefined;
  #failure: unknown;
  /** Nothing more will arrive; what has arrived can still be read. */
  #ended = false;
  #lost: ConnectionLost | undefined;
  #destroyed: Promise<void> | undefined;

  constructor(transport: Transport) {
    this.#transport = transport;
    transport.input.on('data', (chunk: Buffer) => {
      if (this.#failure !== undefined) return;
      this.#chunks.push(chunk);
      this.#available += chunk.length;
      this.#advance();
      if (this.#reading === undefined && this.#available > bufferedBytes) transport.input.pause();
    });
    const lost = async (cause?: unknown) => {
      this.#ended = true;
      const words = await transport.lastWords();
      this.#lost ??= new ConnectionLost(
        `${transport.name} closed the connection${words && `: ${words}`}`,
        cause,
      );
      if (this.#reading !== undefined) this.fail(this.#lost);
    };
    transport.input.once('close', () => void lost());
    transport.input.on('error', lost);
    transport.output.on('error', lost);
  }

  /** Whether anything can still be asked. */
  get usable(): boolean {
    return this.#failure === undefined && !this.#ended;
  }

  write(message: Buffer): void {
    if (this.usable) this.#transport.output.write(message);
  }

  /** Writes, and waits until the other side has taken most of what was written so far. */
  async send(message: Buffer): Promise<void> {
    const { output } = this.#transport;
    if (!this.usable || output.write(message)) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        for (const event of ['drain', 'close', 'error']) output.off(event, done);
        resolve();
      };
      for (const event of ['drain', 'close', 'error']) output.once(event, done);
      if (output.destroyed) done();
    });
  }

  /** Some bytes of what arrives, at least one and at most `limit`. */
  readSome(limit: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const advance = () => {
        if (this.#available === 0) return false;
        resolve(this.#take(Math.min(limit, this.#chunks[0]?.length ?? 0)));
        return true;
      };
      this.#start({ advance, fail: reject });
    });
  }

  /** Runs a decoder on what arrives. Rejects, once and for all, when the channel fails. */
  read<T>(decoder: Decoder<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let step: IteratorResult<number, T> | undefined;
      const advance = () => {
        step ??= decoder.next();
        while (!step.done) {
          // An event's receiver may have ended the channel; what came after is not for anybody.
          if (this.#failure !== undefined) return true;
          if (this.#available < step.value) return false;
          step = decoder.next(this.#take(step.value));
        }
        resolve(step.value);
        return true;
      };
      this.#start({ advance, fail: reject });
    });
  }

  #start(reading: Reading): void {
    if (this.#failure !== undefined) {
      reading.fail(this.#failure);
      return;
    }
    this.#reading = reading;
    this.#advance();
    if (this.#reading === undefined) return;
    if (this.#lost !== undefined) this.fail(this.#lost);
    else this.#transport.input.resume();
  }

  /** Ends the channel for a reason that whoever reads gets to see. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#chunks = [];
    this.#available = 0;
    this.#reading?.fail(error);
    this.#reading = undefined;
    void this.destroy();
  }

  /** Lets go of the other side and waits until it is gone. */
  destroy(): Promise<void> {
    this.#failure ??= new ConnectionLost(`the connection to ${this.#transport.name} was closed`);
    this.#reading?.fail(this.#failure);
    this.#reading = undefined;
    this.#destroyed ??= this.#transport.destroy();
    return this.#destroyed;
  }

  #advance(): void {
    const reading = this.#reading;
    if (reading === undefined) return;
    try {
      if (reading.advance() && this.#reading === reading) this.#reading = undefined;
    } catch (error) {
      this.fail(error);
    }
  }

  /** The next bytes, copied only where they cross the borders of chunks. */
  #take(size: number): Buffer {
    this.#available -= size;
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= size) {
      if (first.length === size) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(size);
      return first.subarray(0, size);
    }
    const all = Buffer.concat(this.#chunks);
    this.#chunks = all.length > size ? [all.subarray(size)] : [];
    return all.subarray(0, size);
  }
}
