/**
 * The log of one attempt, kept in a file until the server has acknowledged the result: the server
 * may be away for as long as it likes, or come back knowing less than it did.
 */
import { type FileHandle, open, unlink } from 'node:fs/promises';

export interface LogSpool {
  /** Bytes taken so far. */
  readonly length: number;
  /** Takes one line without its newline. Returns at once. */
  line(bytes: Buffer): void;
  /** Resolves when there is something after `offset`, or no more will come. */
  untilBeyond(offset: number): Promise<void>;
  /** At most `count` bytes from `offset` on. */
  read(offset: number, count: number): Promise<Buffer>;
  /** No more lines will come. */
  end(): void;
  readonly ended: boolean;
  remove(): Promise<void>;
}

/** What waits to be written is held in memory up to here; then lines are dropped, and that is said. Bytes. */
const maxWaitingBytes = 32 * 1024 * 1024;
/** Of a longer line only the beginning is kept: the server keeps no more either. Bytes. */
const maxLineBytes = 1024 * 1024;
const newline = Buffer.from('\n');

/** Starts an empty log in `file`. */
export async function openLogSpool(file: string): Promise<LogSpool> {
  const handle = await open(file, 'w+', 0o600);
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let taken = 0;
  let written = 0;
  let dropped = 0;
  let ended = false;
  let failure: unknown;
  let writing: Promise<void> | undefined;
  const waiters = new Set<() => void>();

  function wakeAll(): void {
    for (const wake of waiters) wake();
    waiters.clear();
  }

  async function writeOut(): Promise<void> {
    while (waiting.length > 0) {
      const piece = Buffer.concat(waiting);
      waiting = [];
      await writeFully(handle, piece, written);
      written += piece.length;
      waitingBytes -= piece.length;
      wakeAll();
    }
  }

  function add(line: Buffer): void {
    waiting.push(line, newline);
    waitingBytes += line.length + 1;
    taken += line.length + 1;
  }

  function line(bytes: Buffer): void {
    if (ended || failure !== undefined) return;
    if (waitingBytes > maxWaitingBytes) {
      dropped += 1;
      return;
    }
    if (dropped > 0) add(Buffer.from(`ringmaster: ${dropped} lines were dropped: the disk was too slow`));
    dropped = 0;
    add(shortened(bytes));
    writing ??= writeOut()
      .catch((error: unknown) => {
        // A full disk costs the rest of the log, not the build.
        failure = error;
        taken = written;
      })
      .finally(() => {
        writing = undefined;
        wakeAll();
      });
  }

  return {
    get length() {
      return taken;
    },
    get ended() {
      return ended;
    },
    line,
    async untilBeyond(offset) {
      while (written <= offset && !(ended && writing === undefined)) {
        await new Promise<void>((resolve) => waiters.add(resolve));
      }
    },
    async read(offset, count) {
      const size = Math.max(0, Math.min(count, written - offset));
      const buffer = Buffer.alloc(size);
      const { bytesRead } = await handle.read(buffer, 0, size, offset);
      return buffer.subarray(0, bytesRead);
    },
    end() {
      ended = true;
      wakeAll();
    },
    async remove() {
      ended = true;
      await writing;
      await handle.close();
      await unlink(file).catch(() => {});
    },
  };
}

async function writeFully(handle: FileHandle, piece: Buffer, position: number): Promise<void> {
  for (let done = 0; done < piece.length; ) {
    done += (await handle.write(piece, done, piece.length - done, position + done)).bytesWritten;
  }
}

function shortened(line: Buffer): Buffer {
  if (line.length <= maxLineBytes) return line;
  const note = `… ringmaster: ${line.length - maxLineBytes} more bytes of this line were not kept`;
  return Buffer.concat([line.subarray(0, maxLineBytes), Buffer.from(note)]);
}
