/** The hub as a Connect service: messages in, checked; refusals out, as Connect's codes. */
import { create } from '@bufbuild/protobuf';
import { durationFromMs, timestampNow } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { z } from 'zod';
import {
  type AgentService,
  AssignmentsResponseSchema,
  type Load,
  maxLogPieceBytes,
  protocolVersion,
  type RegisterRequest,
} from '../../agent-protocol/index.ts';
import type { Logger } from '../../basics/index.ts';
import type { AgentHub } from './hub.ts';
import { AgentRefusal, type RefusalReason } from './refusal.ts';
import { tokenOfHeader } from './token.ts';
import type { AgentClaims, AgentLoad } from './types.ts';

const word = z.string().regex(/^[\w.+-]{1,64}$/);
const claimsSchema = z.object({
  instanceId: z.string().regex(/^[\w-]{1,64}$/),
  machineId: z.string().regex(/^[\w-]{1,64}$/),
  version: z.string().max(64),
  systems: z.array(word).min(1).max(64),
  features: z.array(word).max(64),
  slots: z.number().int().min(1).max(1024),
});

const statusSchema = z.enum([
  'built',
  'substituted',
  'already-valid',
  'failed',
  'timed-out',
  'silent-timeout',
  'log-limit',
  'output-mismatch',
  'non-deterministic',
  'dependency-failed',
  'unsupported-system',
  'cancelled',
  'out-of-disk',
  'infrastructure',
]);
/** Characters of what Nix says of a failure. */
const maxMessage = 64 * 1024;

/** `current`: undefined until the process can serve agents. */
export function createAgentService(
  current: () => AgentHub | undefined,
  log: Logger,
): ServiceImpl<typeof AgentService> {
  const hub = () => {
    const found = current();
    if (!found) throw new ConnectError('This server process does not serve agents yet.', Code.Unavailable);
    return found;
  };
  return {
    register: (request, context) =>
      answering(log, async () => {
        checkVersion(request);
        const running = request.attempts.map(({ attempt }) => Number(attempt));
        const opened = await hub().register(tokenOf(context), claimsOf(request), running);
        return {
          ...opened,
          heartbeatInterval: durationFromMs(hub().heartbeatSeconds * 1000),
          serverTime: timestampNow(),
          cachePath: '/cache',
          lease: durationFromMs(hub().leaseSeconds * 1000),
        };
      }),
    async *assignments({ session }, context) {
      try {
        for await (const message of hub().messages(tokenOf(context), session, context.signal)) {
          yield create(AssignmentsResponseSchema, message);
        }
      } catch (error) {
        throw asConnectError(error, log);
      }
    },
    heartbeat: (request, context) =>
      answering(log, async () => {
        const cancel = hub().heartbeat(tokenOf(context), request.session, {
          load: loadOf(request.load),
          running: request.attempts.map(({ attempt }) => Number(attempt)),
          draining: request.draining,
        });
        return { cancel: cancel.map(BigInt) };
      }),
    appendLog: (request, context) =>
      answering(log, async () => {
        if (request.data.length > maxLogPieceBytes) {
          throw new AgentRefusal('invalid', `A piece of a log has at most ${maxLogPieceBytes} bytes.`);
        }
        const next = hub().appendLog(tokenOf(context), request.session, {
          attemptId: Number(request.attempt),
          offset: Number(request.offset),
          bytes: request.data,
          phase: request.phase.slice(0, 64),
        });
        return next === undefined ? { closed: true } : { nextOffset: BigInt(next) };
      }),
    completeBuild: (request, context) =>
      answering(log, async () => {
        const known = statusSchema.safeParse(request.status);
        const accepted = await hub().complete(tokenOf(context), request.session, Number(request.attempt), {
          status: known.success ? known.data : 'infrastructure',
          message: known.success
            ? request.message.slice(0, maxMessage)
            : `The agent reported the unknown status '${request.status.slice(0, 64)}'.`,
          outputs: request.outputs,
          checked: request.checked,
        });
        return { accepted };
      }),
    deregister: (request, context) =>
      answering(log, async () => {
        await hub().deregister(tokenOf(context), request.session);
        return {};
      }),
  };
}

function tokenOf({ requestHeader }: { readonly requestHeader: Headers }): string {
  const token = tokenOfHeader(requestHeader.get('authorization'));
  if (token === undefined) throw new AgentRefusal('unauthenticated', 'the request has none.');
  return token;
}

function checkVersion({ protocolVersion: theirs, version }: RegisterRequest): void {
  if (theirs === protocolVersion) return;
  const older = theirs < protocolVersion;
  throw new AgentRefusal(
    'version',
    `This agent (${version.slice(0, 64)}) speaks version ${theirs} of the agents' protocol, the server version ${protocolVersion}: ` +
      `update the ${older ? 'agent' : 'server'}.`,
  );
}

function claimsOf(request: RegisterRequest): AgentClaims {
  const claims = claimsSchema.safeParse(request);
  if (claims.success) return claims.data;
  throw new AgentRefusal('invalid', `The registration cannot be used: ${z.prettifyError(claims.error)}`);
}

function loadOf(load: Load | undefined): AgentLoad {
  if (!load) return {};
  const { $typeName: _type, $unknown: _unknown, ...values } = load;
  const numbers = Object.entries(values)
    .map(([name, value]) => [name, Number(value)] as const)
    .filter(([, value]) => Number.isFinite(value));
  return loadSchema.parse(Object.fromEntries(numbers));
}

const loadSchema = z.object({
  load1: z.number().optional(),
  load5: z.number().optional(),
  load15: z.number().optional(),
  cores: z.number().optional(),
  memoryTotalBytes: z.number().optional(),
  memoryAvailableBytes: z.number().optional(),
  storeFreeBytes: z.number().optional(),
  cpuPressure: z.number().optional(),
  memoryPressure: z.number().optional(),
  ioPressure: z.number().optional(),
});

async function answering<T>(log: Logger, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asConnectError(error, log);
  }
}

const codes = {
  unauthenticated: Code.Unauthenticated,
  'no-session': Code.NotFound,
  // Not Aborted: that is also what a cut connection looks like to the other side.
  replaced: Code.AlreadyExists,
  elsewhere: Code.Unavailable,
  version: Code.FailedPrecondition,
  invalid: Code.InvalidArgument,
} as const satisfies Record<RefusalReason, Code>;

/** What is our own trouble, the database for example, passes: the agent tries again. */
function asConnectError(error: unknown, log: Logger): ConnectError {
  if (error instanceof AgentRefusal) return new ConnectError(error.message, codes[error.reason]);
  if (error instanceof ConnectError) return error;
  log.warn({ err: error }, 'an agent could not be answered');
  return new ConnectError('The server cannot answer now.', Code.Unavailable);
}
