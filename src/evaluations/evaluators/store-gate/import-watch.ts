/** One request of an evaluator to build: tells what is built for it, and how each build ends. */
import {
  type BuildReply,
  type DaemonEvent,
  type Derivation,
  derivationName,
  isGood,
  plainMessage,
  type RealiseStatus,
  statusOfError,
  statusOfReply,
} from '../../../nix/index.ts';
import type { ImportEnd, ImportListener, OnImport } from '../../events.ts';

export interface ImportWatch {
  readonly onEvent: (event: DaemonEvent) => void;
  /** The store has answered. */
  answered(results: readonly BuildReply[]): Promise<void>;
  /** It refused all of it, or this program ended it. */
  broken(why: Pick<ImportEnd, 'status' | 'message'>): Promise<void>;
}

export interface ImportWatchOptions {
  readonly onImport: OnImport;
  readonly readDerivation: (drvPath: string) => Derivation | undefined;
  /** Whether all of these are valid. */
  readonly areValid: (paths: readonly string[]) => Promise<boolean>;
  /** Bytes of what builders print, newlines included, after which `onTooMuch` is called. */
  readonly logBytes: number;
  readonly onTooMuch: () => void;
  /** Somebody wants this build to end. */
  readonly onCancel: (drvPath: string, why: string) => void;
}

interface Watched {
  readonly drvPath: string;
  readonly derivation: Derivation | undefined;
  readonly listener: ImportListener;
  readonly startedAt: Date;
  stoppedAt: Date | undefined;
  ended: boolean;
}

/** Nix tells why a dependency failed only in messages; these many of the newest are kept. */
const keptMessages = 50;

export function watchImports(options: ImportWatchOptions): ImportWatch {
  const byActivity = new Map<bigint, Watched>();
  const checks: Promise<void>[] = [];
  const messages: string[] = [];
  let printed = 0;

  function began(activity: bigint, drvPath: string): void {
    const derivation = options.readDerivation(drvPath);
    const startedAt = new Date();
    const listener = options.onImport({
      drvPath,
      name: derivationName(drvPath),
      derivation,
      startedAt,
      cancel: (why) => {
        if (byActivity.get(activity)?.ended === false) options.onCancel(drvPath, why);
      },
    });
    byActivity.set(activity, {
      drvPath,
      derivation,
      listener,
      startedAt,
      stoppedAt: undefined,
      ended: false,
    });
  }

  function end(build: Watched, status: RealiseStatus, message: string): void {
    if (build.ended) return;
    build.ended = true;
    build.listener.ended({
      status,
      message,
      startedAt: build.startedAt,
      finishedAt: build.stoppedAt ?? new Date(),
    });
  }

  /** Nix says that a build stopped, not how; a good one leaves its outputs behind. */
  async function endIfGood(build: Watched): Promise<void> {
    const outputs = [...(build.derivation?.outputs.values() ?? [])].map(({ path }) => path);
    const known = outputs.flatMap((path) => path ?? []);
    if (known.length === 0 || known.length < outputs.length) return;
    if (await options.areValid(known).catch(() => false)) end(build, 'built', '');
  }

  async function endRest(
    rest: (build: Watched) => { status: RealiseStatus; message: string },
  ): Promise<void> {
    await Promise.all(checks);
    for (const build of byActivity.values()) {
      if (!build.ended) await endIfGood(build);
      if (build.ended) continue;
      const { status, message } = rest(build);
      end(build, status, message);
    }
  }

  function saidOf(drvPath: string): string | undefined {
    return messages.findLast((text) => text.includes(drvPath) && /fail|error|mismatch|timed out/.test(text));
  }

  function hear(event: DaemonEvent): void {
    switch (event.type) {
      case 'activity-started': {
        const [drvPath] = event.fields;
        if (event.kind === 'build' && drvPath instanceof Buffer) began(event.id, drvPath.toString('utf8'));
        return;
      }
      case 'activity-stopped': {
        const build = byActivity.get(event.id);
        if (build === undefined) return;
        build.stoppedAt = new Date();
        checks.push(endIfGood(build));
        return;
      }
      case 'log-line': {
        const build = byActivity.get(event.activity);
        if (build === undefined || printed > options.logBytes) return;
        printed += event.line.length + 1;
        if (printed > options.logBytes) options.onTooMuch();
        else build.listener.line(event.line);
        return;
      }
      case 'phase':
        byActivity.get(event.activity)?.listener.phase(event.phase);
        return;
      case 'message':
        messages.push(event.text);
        if (messages.length > keptMessages) messages.shift();
        return;
      default:
        return;
    }
  }

  return {
    onEvent: hear,
    async answered(results) {
      const bad = results.find((result) => !isGood(statusOfReply(result)));
      await endRest(({ drvPath }) => {
        const own = results.find(({ path }) => derivationOf(path) === drvPath);
        if (own) return { status: statusOfReply(own), message: plainMessage(own.message) };
        if (bad === undefined) return { status: 'built', message: '' };
        return endOfDependency(drvPath);
      });
    },
    async broken(why) {
      await endRest(({ drvPath }) => (why.status === 'failed' ? endOfDependency(drvPath, why.message) : why));
    },
  };

  /** What Nix did not say anything about was ended by it, because something else failed. */
  function endOfDependency(drvPath: string, refusal = ''): { status: RealiseStatus; message: string } {
    const said = saidOf(drvPath) ?? (refusal.includes(drvPath) ? refusal : undefined);
    if (said === undefined) return { status: 'cancelled', message: '' };
    const status = statusOfError(said);
    return {
      status: status === 'infrastructure' || status === 'out-of-disk' ? 'failed' : status,
      message: plainMessage(said),
    };
  }
}

/** `DRV` of `DRV!out`. */
export function derivationOf(path: string): string {
  const end = path.indexOf('!');
  return end < 0 ? path : path.slice(0, end);
}
