export { chooseAccess, isTrusted, layoutOf, type StoreAccess } from './access.ts';
export {
  type ClosureCopier,
  type CopyRequest,
  type CopyResult,
  copyClosure,
  createClosureCopier,
  type PathEntry,
  type PathSink,
  type PathSource,
  verifiedNar,
} from './copy-closure.ts';
export {
  type AddedTree,
  addIndirectRoot,
  addTempRoot,
  addTree,
  type BuildReply,
  buildPathsWithResults,
  connect,
  type DaemonConnection,
  type DaemonEvent,
  type DaemonSettings,
  describeText,
  ensurePath,
  isValidPath,
  type Operation,
  openChildTransport,
  openSocketTransport,
  queryMissing,
  queryOutputs,
  queryPathFromHashPart,
  queryPathInfo,
  querySubstitutablePaths,
  queryValidPaths,
  type StoredPath,
  type StoreService,
  serveClient,
  setOptions,
  type Transport,
} from './daemon/index.ts';
export {
  type DerivationGraph,
  DerivationSyntaxError,
  derivationGraph,
  derivationName,
  formatDerivation,
  isFixedOutput,
  isSubstitutionAllowed,
  parseDerivation,
  readDerivation,
  realPath,
  requiredSystemFeatures,
  resolvedDerivation,
  resolvedText,
  type StoreLayout,
} from './derivation.ts';
export { detectNix, type FoundNix, findNix } from './detect-nix.ts';
export { type Environment, type NixEnvironmentOptions, nixEnvironment } from './environment.ts';
export type { DetectOptions, LocalNix } from './local-nix.ts';
export { defaultMaxLogBytes, type LocalStoreOptions, openLocalStore } from './local-store.ts';
export type { NixPrograms } from './nix-programs.ts';
export { openTransport, type TransportOptions } from './open-transport.ts';
export { isGood, plainMessage, statusOfError, statusOfReply, statusOfTrouble } from './outcome.ts';
export { createOutputPaths, type OutputPaths } from './output-paths.ts';
export {
  createPendingDerivations,
  type PendingDerivations,
  type PendingDerivationsOptions,
} from './pending-derivations.ts';
export { parseSshAddress, type SshAddress } from './ssh/address.ts';
export { openSshStore, type SshStoreOptions } from './ssh/ssh-store.ts';
export { type DaemonStoreOptions, openDaemonStore } from './store.ts';
export { nixBase32, sourceStorePath, storePath, textStorePath } from './store-path.ts';
export { createTextWriter, type TextWriter, textsRefused } from './text-writer.ts';
export type * from './types.ts';
