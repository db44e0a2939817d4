/**
 * What agents send is read here, before Connect sees it: whole, within a size and a time, and well
 * formed. Connect itself calls a malformed message an internal error of the server, and keeps
 * connections open on which more is announced than it takes.
 */
import { type DescMethod, fromBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { codeToString } from '@connectrpc/connect/protocol-connect';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { messageOf } from '../basics/index.ts';

export interface RequestLimits {
  readonly maxBytes: number;
  /** From the end of its header to the end of its body. */
  readonly maxSeconds: number;
}

const statuses = new Map([
  [Code.ResourceExhausted, 413],
  [Code.DeadlineExceeded, 408],
]);

/** Reads the body of a request to `method` into `request.body`, or answers that it cannot be. */
export async function readAgentRequest(
  request: FastifyRequest,
  reply: FastifyReply,
  method: DescMethod | undefined,
  limits: RequestLimits,
): Promise<void> {
  // Of a type that is none of Connect's, which refuses it.
  if (request.raw.readableEnded) return;
  try {
    const bytes = await readBody(request, limits);
    if (method?.methodKind === 'unary' && isBinary(request)) checkMessage(method, bytes);
    request.body = once(bytes);
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    const status = statuses.get(error.code) ?? 400;
    if (!request.raw.complete) reply.header('connection', 'close');
    await reply.code(status).send({ code: codeToString(error.code), message: error.rawMessage });
  }
}

async function readBody({ raw }: FastifyRequest, { maxBytes, maxSeconds }: RequestLimits): Promise<Buffer> {
  const tooLarge = new ConnectError(`A message has at most ${maxBytes} bytes.`, Code.ResourceExhausted);
  if (Number(raw.headers['content-length'] ?? 0) > maxBytes) throw tooLarge;
  const pieces: Buffer[] = [];
  let size = 0;
  const tooSlow = new ConnectError(
    `The message did not arrive within ${maxSeconds} s.`,
    Code.DeadlineExceeded,
  );
  await new Promise<void>((resolve, reject) => {
    const onData = (piece: Buffer) => {
      size += piece.length;
      if (size > maxBytes) refuse(tooLarge);
      else pieces.push(piece);
    };
    const onEnd = () => {
      leave();
      resolve();
    };
    const onClose = () => refuse(new ConnectError('The connection was lost.', Code.Canceled));
    const timer = setTimeout(() => refuse(tooSlow), maxSeconds * 1000);
    const leave = () => {
      clearTimeout(timer);
      raw.off('data', onData).off('end', onEnd).off('close', onClose);
    };
    const refuse = (error: ConnectError) => {
      leave();
      // What else comes is not for us; the connection ends with the answer.
      raw.pause();
      reject(error);
    };
    raw.on('data', onData).once('end', onEnd).once('close', onClose);
  });
  return Buffer.concat(pieces, size);
}

function isBinary({ headers }: FastifyRequest): boolean {
  return /^application\/proto\b/i.test(headers['content-type'] ?? '');
}

function checkMessage(method: DescMethod, bytes: Buffer): void {
  try {
    fromBinary(method.input, bytes);
  } catch (cause) {
    const message = `This is not a ${method.input.typeName}: ${messageOf(cause)}.`;
    throw new ConnectError(message, Code.InvalidArgument, undefined, undefined, cause);
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}
