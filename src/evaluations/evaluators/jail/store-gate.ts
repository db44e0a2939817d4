/**
 * The way from a jail to the store: a Nix daemon for one evaluation, outside of the jail, on a socket
 * that stands inside. So nothing in the jail can write the store or its database, and what import
 * from derivation builds is built outside, in Nix's own sandbox, which cannot be set up inside.
 */
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { OperatorError } from '../../../basics/index.ts';
import { type Containment, containedCommand } from '../command-line.ts';
import { startEvaluator } from '../evaluator-process.ts';
import { collectLastWords } from '../last-words.ts';
import { readLines } from '../lines.ts';

export interface StoreGateOptions {
  /** The program `nix-daemon`. */
  readonly daemon: string;
  /** Environment for Nix children. */
  readonly env: Readonly<Record<string, string>>;
  readonly containment: Containment;
  /** An empty folder for the socket. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

export interface StoreGate {
  readonly socket: string;
  /** Ends the daemon and what it builds. */
  close(): Promise<void>;
}

/** Milliseconds for the daemon to come up on a busy machine, and between two looks at it. */
const startMs = 30_000;
const lookMs = 3;

/**
 * Whoever connects is not trusted, as root would be otherwise: settings that decide how a build is
 * locked in are the machine's alone.
 */
const settings = 'trusted-users =\nallowed-users = *\n';

export async function openStoreGate(options: StoreGateOptions): Promise<StoreGate> {
  const { env, folder } = options;
  const socket = join(folder, 'socket');
  const ending = new AbortController();
  const store = env.NIX_REMOTE;
  const gate = startEvaluator(
    {
      ...containedCommand(options.containment, options.daemon, []),
      cwd: folder,
      env: {
        ...env,
        NIX_CONFIG: `${env.NIX_CONFIG ?? ''}\n${settings}`,
        NIX_DAEMON_SOCKET_PATH: socket,
        // Left to itself it would find the socket, its own.
        NIX_REMOTE: store === undefined || store === '' || store === 'auto' ? 'local' : store,
      },
    },
    ending.signal,
  );
  gate.child.stdin.end();
  gate.child.stdout.resume();
  const words = collectLastWords(4096);
  const heard = (async () => {
    for await (const { text } of readLines(gate.child.stderr, 4096)) words.add(text);
  })().catch(() => {});
  const close = async () => {
    ending.abort();
    await gate.ended;
    await heard;
  };
  let ended = false;
  void gate.ended.then(() => {
    ended = true;
  });
  const deadline = performance.now() + startMs;
  while (!(await answers(socket))) {
    if (ended || options.signal.aborted || performance.now() > deadline) {
      await close();
      options.signal.throwIfAborted();
      throw new OperatorError({
        code: 'store-gate-failed',
        message: `The Nix daemon for the evaluation did not start: ${words.lines().join('\n').trim() || 'no reason given'}`,
        hint: "'ringmaster doctor' says whether Nix works on this machine.",
      });
    }
    await delay(lookMs);
  }
  return { socket, close };
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', () => resolve(false));
  });
}
