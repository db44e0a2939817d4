/** What agents and servers say to each other; proto/ is the source of the types. */
export * from './gen/ringmaster/agent/v1/agent_pb.ts';

/** Raised with each change that an older side would misunderstand. */
export const protocolVersion = 1;

/** Where the service lies on the server. */
export const agentPath = '/agent';

/** Bytes of one piece of a log. */
export const maxLogPieceBytes = 64 * 1024;
