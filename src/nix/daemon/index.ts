/** A client for the Nix daemon protocol, versions 1.34 to 1.38, and the daemon's side of it for evaluators. */
export { addTexts, type StoreText, textAddress, textNar } from './add-texts.ts';
export { ConnectionLost, type Transport } from './channel.ts';
export {
  type Agreement,
  type CallOptions,
  connect,
  type DaemonConnection,
  DaemonRefusal,
} from './connection.ts';
export type { ActivityKind, DaemonError, DaemonEvent, Reply } from './events.ts';
export {
  addIndirectRoot,
  addTempRoot,
  type BuildReply,
  type BuildStatus,
  buildDerivation,
  buildPathsWithResults,
  type DaemonSettings,
  isValidPath,
  type MissingReply,
  type Operation,
  queryMissing,
  queryPathFromHashPart,
  querySubstitutablePathInfos,
  querySubstitutablePaths,
  queryValidPaths,
  setOptions,
  type WireDerivation,
} from './operations.ts';
export {
  addMultipleToStore,
  addToStoreNar,
  ensurePath,
  type IncomingPath,
  narFromPath,
  type PathInfo,
  queryPathInfo,
} from './path-operations.ts';
export { ConnectionPool, type Lease, type PoolOptions } from './pool.ts';
export { addTree, queryOutputs } from './serve-operations.ts';
export type { AddedTree, ServedOptions, StoredPath, StoreService } from './serve-service.ts';
export { type ServeOptions, serveClient } from './serve-session.ts';
export { describeText } from './serve-text.ts';
export { type ChildTransportOptions, openChildTransport, openSocketTransport } from './transports.ts';
export { ProtocolError, wireLimits } from './wire.ts';
