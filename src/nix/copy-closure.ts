/** Moving store paths with all that they refer to from one store to another. */
import type { PathInfo } from './types.ts';

/** Where paths come from. */
export interface PathSource {
  /** What is known of these paths; what is not there is left out. */
  pathInfos(paths: readonly string[]): Promise<ReadonlyMap<string, PathInfo>>;
  /** The NAR of a valid path. `info`, where the caller has it, spares asking again. */
  nar(path: string, info?: PathInfo): AsyncIterable<Buffer>;
}

/** One path on its way into a store. */
export interface PathEntry {
  readonly path: string;
  readonly info: PathInfo;
  /** Its NAR, exactly `info.narBytes` long. Read once, in the order of the entries. */
  readonly nar: AsyncIterable<Buffer>;
}

/** Where paths go to. */
export interface PathSink {
  /** Which of these are valid; with `substitute`, after having substituted what can be. */
  validPaths(paths: readonly string[], substitute: boolean): Promise<ReadonlySet<string>>;
  /** Adds paths, each of which comes after those it refers to. */
  add(entries: readonly PathEntry[]): Promise<void>;
}
