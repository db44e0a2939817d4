/** What whoever serves clients of the daemon protocol has to answer. */
import type { DaemonEvent } from './events.ts';
import type { MissingReply } from './operations.ts';
import type { PathInfo } from './path-operations.ts';

/** A path with what is known of it. */
export interface StoredPath {
  readonly path: string;
  readonly info: PathInfo;
}

export interface AddedTree {
  readonly fileName: string;
  /** How the path follows from the content: `fixed:r:sha256`, `text:sha256`, … */
  readonly method: string;
  readonly references: readonly string[];
  /** To be read to its end. */
  readonly content: AsyncIterable<Buffer>;
}

/** Answers one client. What it throws is told to the client, which may go on. */
export interface StoreService {
  setOptions(options: ServedOptions): void;
  isValidPath(path: string): Promise<boolean>;
  pathInfo(path: string): Promise<PathInfo | undefined>;
  pathFromHashPart(hashPart: string): Promise<string | undefined>;
  validPaths(paths: readonly string[], substitute: boolean): Promise<ReadonlySet<string>>;
  substitutablePaths(paths: readonly string[]): Promise<ReadonlySet<string>>;
  missing(paths: readonly string[]): Promise<MissingReply>;
  outputs(drvPath: string): Promise<ReadonlyMap<string, string | undefined>>;
  ensurePath(path: string): Promise<void>;
  addTempRoot(path: string): Promise<void>;
  addIndirectRoot(link: string): Promise<void>;
  build(paths: readonly string[], onEvent: (event: DaemonEvent) => void): Promise<void>;
  /** Not a promise, because there are tens of thousands of them. */
  addDerivation(fileName: string, content: Buffer, references: readonly string[]): StoredPath;
  addTree(tree: AddedTree, onEvent: (event: DaemonEvent) => void): Promise<StoredPath>;
}

/** Of the many options of a client, those that are listened to. */
export interface ServedOptions {
  readonly keepGoing: boolean;
  readonly fallback: boolean;
  readonly maxJobs: number;
  readonly maxSilentSeconds: number;
  readonly cores: number;
  readonly useSubstitutes: boolean;
}
