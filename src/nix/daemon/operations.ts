/**
 * The operations of the daemon that are used: each is a number, its parameters, and how its reply
 * is read. They are plain values; a connection performs them.
 */
import { z } from 'zod';
import { has } from './versions.ts';
import {
  boolean,
  type Decoder,
  integer,
  list,
  type Part,
  ProtocolError,
  path,
  set,
  text,
  unsigned,
  wireLimits,
  word,
} from './wire.ts';

export interface Operation<T> {
  /** For messages. */
  readonly name: string;
  readonly code: number;
  readonly parameters: readonly Part[];
  /** What follows the parameters in frames. It is read once. */
  readonly body?: AsyncIterable<Buffer>;
  /** Reads the reply as the given minor version of the protocol writes it. */
  readonly reply: (minor: number) => Decoder<T>;
}

/** `BuildResult::Status`. Codes are only ever added. */
const buildStatuses = [
  'built',
  'substituted',
  'already-valid',
  'permanent-failure',
  'input-rejected',
  'output-rejected',
  'transient-failure',
  'cached-failure',
  'timed-out',
  'misc-failure',
  'dependency-failed',
  'log-limit-exceeded',
  'not-deterministic',
  'resolves-to-already-valid',
  'no-substituters',
  'hash-mismatch',
  'cancelled',
] as const;

export type BuildStatus = (typeof buildStatuses)[number];

/** How the daemon says that building one derivation ended. */
export interface BuildReply {
  readonly path: string;
  readonly status: BuildStatus;
  /** With ANSI colours. */
  readonly message: string;
  readonly startedAt: Date;
  readonly stoppedAt: Date;
  /** Microseconds, where the daemon tells. */
  readonly processorTime: { readonly user: bigint | undefined; readonly system: bigint | undefined };
  /** Output name -> base name of its store path. Newest versions may leave it empty. */
  readonly outputs: ReadonlyMap<string, string>;
}

/** `check` builds what is valid already once more and compares. */
export type BuildMode = 'normal' | 'check';
const buildModes = { normal: 0, check: 2 } as const;

/** Builds or substitutes. A path is a store path, `DRV!*` for all outputs, or `DRV!out,dev`. */
export function buildPathsWithResults(
  paths: readonly string[],
  mode: BuildMode = 'normal',
): Operation<BuildReply[]> {
  return {
    name: 'BuildPathsWithResults',
    code: 46,
    parameters: [paths, buildModes[mode]],
    reply: (minor) => list(() => keyedBuildReply(minor)),
  };
}

/** A derivation as it is built on a machine that need not know those it depends on. */
export interface WireDerivation {
  /** Name, path, hash algorithm, hash; the last three may be empty. */
  readonly outputs: readonly (readonly [string, string, string, string])[];
  /** All inputs, as paths. */
  readonly inputs: readonly string[];
  readonly system: string;
  readonly builder: Buffer;
  readonly arguments: readonly Buffer[];
  readonly environment: readonly (readonly [Buffer, Buffer])[];
}

/** Builds one derivation, whose inputs are valid. Refused to those whom the daemon does not trust. */
export function buildDerivation(
  drvPath: string,
  derivation: WireDerivation,
  mode: BuildMode = 'normal',
): Operation<BuildReply> {
  const { outputs, inputs, environment } = derivation;
  return {
    name: 'BuildDerivation',
    code: 36,
    parameters: [
      drvPath,
      ...[outputs.length, ...outputs.flat()],
      inputs,
      ...[derivation.system, derivation.builder],
      ...[derivation.arguments.length, ...derivation.arguments],
      ...[environment.length, ...environment.flat()],
      buildModes[mode],
    ],
    reply: (minor) => buildReply(minor, drvPath),
  };
}

export interface MissingReply {
  readonly willBuild: ReadonlySet<string>;
  readonly willSubstitute: ReadonlySet<string>;
  readonly unknown: ReadonlySet<string>;
  readonly downloadBytes: number;
  readonly narBytes: number;
}

/** What building these would take. Paths as for `buildPathsWithResults`. */
export function queryMissing(paths: readonly string[]): Operation<MissingReply> {
  return { name: 'QueryMissing', code: 40, parameters: [paths], reply: missingReply };
}

/** Which of these are valid; with `substitute`, after having substituted what can be. */
export function queryValidPaths(paths: readonly string[], substitute = false): Operation<Set<string>> {
  return { name: 'QueryValidPaths', code: 31, parameters: [paths, substitute], reply: () => set(path) };
}

/** Which of these some substituter has; leaves out substituters that do not want to be asked much. */
export function querySubstitutablePaths(paths: readonly string[]): Operation<Set<string>> {
  return { name: 'QuerySubstitutablePaths', code: 32, parameters: [paths], reply: () => set(path) };
}

/** Which of these any substituter has. The daemon asks for one path after the other. */
export function querySubstitutablePathInfos(paths: readonly string[]): Operation<Set<string>> {
  const contentAddress = '';
  return {
    name: 'QuerySubstitutablePathInfos',
    code: 30,
    parameters: [paths.length, ...paths.flatMap((storePath) => [storePath, contentAddress])],
    reply: substitutablePaths,
  };
}

export function isValidPath(storePath: string): Operation<boolean> {
  return { name: 'IsValidPath', code: 1, parameters: [storePath], reply: boolean };
}

/** The valid path whose name starts with these 32 characters. */
export function queryPathFromHashPart(hashPart: string): Operation<string | undefined> {
  return {
    name: 'QueryPathFromHashPart',
    code: 29,
    parameters: [hashPart],
    reply: function* () {
      return (yield* word()) || undefined;
    },
  };
}

/** Keeps a path from being collected for as long as this connection lives. */
export function addTempRoot(storePath: string): Operation<boolean> {
  return { name: 'AddTempRoot', code: 11, parameters: [storePath], reply: boolean };
}

/** Tells the collector of a link, made by the caller, from somewhere in the file system to a path. */
export function addIndirectRoot(link: string): Operation<boolean> {
  return { name: 'AddIndirectRoot', code: 12, parameters: [link], reply: boolean };
}

export interface DaemonSettings {
  readonly maxJobs: number;
  /** 0 for all. */
  readonly cores: number;
  readonly useSubstitutes: boolean;
  /** Build from source what a substituter was to have and cannot deliver. */
  readonly fallback: boolean;
  /** Any of Nix's settings. A daemon that does not trust the client ignores most and warns. */
  readonly overrides: Readonly<Record<string, string>>;
}

/** Holds for the connection it is performed on. */
export function setOptions(settings: DaemonSettings): Operation<void> {
  const overrides = Object.entries(settings.overrides);
  const keep = { failed: false, going: false };
  const level = { error: 0, vomit: 7 };
  const seconds = { maxSilent: 0 };
  const obsolete = 0;
  const useBuildHook = true;
  return {
    name: 'SetOptions',
    code: 19,
    parameters: [
      keep.failed,
      keep.going,
      settings.fallback,
      level.error,
      settings.maxJobs,
      seconds.maxSilent,
      useBuildHook,
      // Not verbose: build logs come as events, and need not come as messages too.
      level.vomit,
      obsolete,
      obsolete,
      settings.cores,
      settings.useSubstitutes,
      overrides.length,
      ...overrides.flat(),
    ],
    reply: nothing,
  };
}

function* nothing(): Decoder<void> {}

function* missingReply(): Decoder<MissingReply> {
  return {
    willBuild: yield* set(path),
    willSubstitute: yield* set(path),
    unknown: yield* set(path),
    downloadBytes: yield* integer(),
    narBytes: yield* integer(),
  };
}

/** Their paths; derivers, references and sizes are read and dropped. */
function* substitutablePaths(): Decoder<Set<string>> {
  return yield* set(function* () {
    const storePath = yield* path();
    yield* word();
    yield* set(path);
    yield* integer();
    yield* integer();
    return storePath;
  });
}

function* keyedBuildReply(minor: number): Decoder<BuildReply> {
  const built = yield* word();
  return yield* buildReply(minor, built);
}

function* buildReply(minor: number, built: string): Decoder<BuildReply> {
  const code = yield* integer();
  const message = yield* text();
  yield* integer(); // how often it was built
  yield* boolean(); // whether these differed
  const startedAt = yield* time();
  const stoppedAt = yield* time();
  const timed = has(minor, 'processorTimes');
  const user = timed ? yield* optionalMicroseconds() : undefined;
  const system = timed ? yield* optionalMicroseconds() : undefined;
  const outputs = new Map(yield* list(builtOutput));
  return {
    path: built,
    // A status from the future is a failure of a kind that is not known.
    status: buildStatuses[code] ?? 'misc-failure',
    message,
    startedAt,
    stoppedAt,
    processorTime: { user, system },
    outputs,
  };
}

const realisation = z.object({ outPath: z.string() });

/** `sha256:<hash>!<output>` and the realisation as JSON. */
function* builtOutput(): Decoder<[string, string]> {
  const id = yield* word();
  const json = yield* text(wireLimits.jsonBytes);
  const parsed = realisation.safeParse(parseJson(json));
  if (!parsed.success) throw new ProtocolError('a built output is not described as expected');
  return [id.slice(id.indexOf('!') + 1), parsed.data.outPath];
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new ProtocolError('a built output is not JSON');
  }
}

function* optionalMicroseconds(): Decoder<bigint | undefined> {
  return (yield* integer()) === 0 ? undefined : yield* unsigned();
}

/** Seconds since 1970. */
export function* time(): Decoder<Date> {
  return new Date((yield* integer()) * 1000);
}
