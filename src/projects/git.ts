/**
 * Running git where nothing of the machine's or the user's configuration applies, and reading from
 * its words what went wrong.
 */
import { killGroup, type RunResult, runProcess, startFailure, startProcess } from '../basics/index.ts';
import type { GitSource } from './types.ts';

export interface GitRun {
  readonly cwd: string;
  /** What may pass to git of this process' environment: PATH, proxies, certificates. */
  readonly environment: Readonly<Record<string, string>>;
  /** The only repository that this run may talk to. Without it git may talk to none. */
  readonly source?: GitSource;
  readonly indexFile?: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Default 4 MiB: messages and single lines; content goes to disk. */
  readonly maxOutputBytes?: number;
  /** Paths are names, never patterns. */
  readonly literalPaths?: boolean;
}

/** Variables of the surroundings that git and curl need to reach a server at all. */
const passedOn = [
  'PATH',
  'TMPDIR',
  'http_proxy',
  'https_proxy',
  'HTTPS_PROXY',
  'ALL_PROXY',
  'all_proxy',
  'NO_PROXY',
  'no_proxy',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'GIT_SSL_CAINFO',
  'NIX_SSL_CERT_FILE',
];

/** Runs git to its end. */
export function runGit(args: readonly string[], run: GitRun): Promise<RunResult> {
  return runProcess('git', args, {
    cwd: run.cwd,
    env: gitEnvironment(run),
    timeoutMs: run.timeoutMs,
    maxOutputBytes: run.maxOutputBytes ?? 4 * 1024 * 1024,
    ...(run.signal ? { signal: run.signal } : {}),
  });
}

/**
 * Runs git to its end and hands over what it prints, record by record (`-z`), each character a byte; of one
 * longer than `longestRecord`, what has come. Ends git when `take` wants no more.
 */
export async function readGit(
  args: readonly string[],
  run: GitRun,
  take: (record: string) => boolean,
): Promise<RunResult> {
  const child = startProcess('git', args, {
    cwd: run.cwd,
    env: gitEnvironment(run),
    ...(run.signal ? { signal: run.signal } : {}),
  });
  child.stdin.end();
  let endedBy: RunResult['endedBy'] = 'itself';
  const end = (reason: RunResult['endedBy']) => {
    endedBy = reason;
    killGroup(child);
  };
  const timer = setTimeout(() => end('timeout'), run.timeoutMs);
  let rest = '';
  child.stdout.on('data', (chunk: Buffer) => {
    if (endedBy !== 'itself') return;
    const records = (rest + chunk.toString('latin1')).split('\0');
    rest = records.pop() ?? '';
    // A name in git may have a hundred megabytes, and each chunk of it would be searched with all before.
    if (rest.length > longestRecord) {
      records.push(rest);
      rest = '';
    }
    if (!records.every(take)) end('output-limit');
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < mostWords) stderr += chunk.toString('utf8');
  });
  try {
    const [exitCode, signal] = await new Promise<[number | null, NodeJS.Signals | null]>(
      (resolve, reject) => {
        child.once('error', (error) => reject(startFailure('git', error)));
        child.once('close', (code, by) => resolve([code, by]));
      },
    );
    if (run.signal?.aborted) endedBy = 'cancel';
    return { exitCode, signal, stdout: '', stderr, endedBy };
  } finally {
    clearTimeout(timer);
  }
}

/** Bytes: a path of the longest kind that a file system takes, and some numbers. */
const longestRecord = 8192;

/** Characters of git's complaints that are kept. */
const mostWords = 64 * 1024;

/**
 * Answers git's question for credentials from two variables of the same child. Git asks only for
 * the origin that the helper is configured for, so a redirect elsewhere gets nothing.
 */
const credentialHelper =
  '!f() { test "$1" = get && printf \'username=%s\\npassword=%s\\n\' "$RINGMASTER_GIT_USERNAME" "$RINGMASTER_GIT_PASSWORD"; }; f';

function gitEnvironment(run: GitRun): Record<string, string> {
  const configuration: [string, string][] = [
    ['core.hooksPath', '/dev/null'],
    ['core.fsmonitor', 'false'],
    ['core.symlinks', 'true'],
    ['core.autocrlf', 'false'],
    ['gc.auto', '0'],
    ['maintenance.auto', 'false'],
    ['submodule.recurse', 'false'],
    ['protocol.allow', 'never'],
    // The data directory may belong to another user than the one we run as.
    ['safe.directory', '*'],
    // Less than 1000 bytes a second for a minute is a connection that died.
    ['http.lowSpeedLimit', '1000'],
    ['http.lowSpeedTime', '60'],
    ['credential.helper', ''],
  ];
  const environment: Record<string, string> = {};
  for (const name of passedOn) {
    const value = run.environment[name];
    if (value !== undefined) environment[name] = value;
  }
  // Empty means that no protocol at all is allowed.
  environment.GIT_ALLOW_PROTOCOL = run.source ? new URL(run.source.url).protocol.slice(0, -1) : '';
  if (run.source?.credentials) {
    const { origin } = new URL(run.source.url);
    configuration.push([`credential.${origin}.helper`, credentialHelper]);
    environment.RINGMASTER_GIT_USERNAME = run.source.credentials.username;
    environment.RINGMASTER_GIT_PASSWORD = run.source.credentials.password;
  }
  if (run.indexFile) environment.GIT_INDEX_FILE = run.indexFile;
  if (run.literalPaths) environment.GIT_LITERAL_PATHSPECS = '1';
  configuration.forEach(([key, value], index) => {
    environment[`GIT_CONFIG_KEY_${index}`] = key;
    environment[`GIT_CONFIG_VALUE_${index}`] = value;
  });
  return {
    ...environment,
    GIT_CONFIG_COUNT: String(configuration.length),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '/bin/false',
    GIT_LFS_SKIP_SMUDGE: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_ADVICE: '0',
    // The words below are English.
    LC_ALL: 'C',
    LANGUAGE: 'C',
    HOME: '/nonexistent',
  };
}

/**
 * - `later`: passes by itself (network, server trouble, disk full, killed).
 * - `refused`: the repository is not there or not for us.
 * - `no-commit`: the server does not have the commit or ref.
 * - `unknown`: everything else, a damaged mirror among it.
 */
export interface GitFailure {
  readonly kind: 'later' | 'refused' | 'no-commit' | 'unknown';
  readonly reason: string;
}

type Pattern = readonly [GitFailure['kind'], RegExp];

const ofDisk: Pattern = [
  'later',
  /No space left on device|Disk quota exceeded|Input\/output error|Read-only file system|Too many open files|Cannot allocate memory|out of memory/i,
];

const patterns: readonly Pattern[] = [
  ['refused', /mismatched algorithms/i],
  ['no-commit', /not our ref|couldn't find remote ref|unadvertised object|no such remote ref/i],
  ofDisk,
  ['later', /returned error: (5\d\d|408|429)/i],
  [
    'refused',
    /repository '?.*'? not found|returned error: 4\d\d|Authentication failed|could not read (Username|Password)|Access denied|Repository not found/i,
  ],
  ['refused', /transport '.*' not allowed/i],
  [
    'later',
    /Could not resolve|Failed to connect|Couldn't connect|Connection (refused|reset|timed out)|Operation timed out|Operation too slow|Empty reply from server|early EOF|unexpected disconnect|hung up|RPC failed|Recv failure|Send failure|transfer closed|SSL|TLS|certificate|unable to access/i,
  ],
];

/**
 * What a run that talked to nobody and did not end well says about the cause: names of files among it,
 * which may sound like trouble of a network.
 */
export function localFailureOf(result: RunResult, timeoutMs: number): GitFailure {
  return failureOf(result, timeoutMs, [ofDisk]);
}

/** What a git run that did not end well says about the cause. */
export function failureOf(result: RunResult, timeoutMs: number, known = patterns): GitFailure {
  if (result.endedBy === 'timeout') {
    return { kind: 'later', reason: `git did not end within ${Math.round(timeoutMs / 1000)} s` };
  }
  if (result.endedBy === 'cancel') return { kind: 'later', reason: 'the checkout was cancelled' };
  const reason = lastWords(result.stderr);
  const found = known.find(([, pattern]) => pattern.test(result.stderr));
  if (found) return { kind: found[0], reason };
  if (result.signal) return { kind: 'later', reason: `git was ended by ${result.signal}` };
  return { kind: 'unknown', reason };
}

/** Git's reason on one line: from the first `fatal:`, `error:` or `remote:` line on, cut to size. */
function lastWords(stderr: string): string {
  // The text comes from another machine and goes to terminals and pages.
  const lines = stderr.split('\n').map((line) => line.replaceAll(/\p{Cc}/gu, ''));
  const telling = lines.filter((line) => /^(fatal|error|remote): \S/.test(line));
  const text = (telling.length > 0 ? telling : lines.filter((line) => line.trim() !== '')).join('; ');
  return text.slice(0, 500) || 'git failed without a word';
}
