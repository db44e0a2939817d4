/** How code is held while it is evaluated: locked in, or by Nix's restrictions alone, or not evaluated at all. */
import type { Containment } from './command-line.ts';
import type { BuildJail } from './jail/jail-room.ts';
import type { Walk } from './walk.ts';

/** What the walks of one evaluation are held by. */
export interface Held {
  readonly containment: Containment;
  readonly allowedUris: readonly string[];
}

export interface OpenWalkOptions {
  readonly allowedUris: readonly string[];
  /** Of processes that are not locked in. */
  readonly containment: Containment;
  readonly buildJail?: BuildJail;
  /** Why there is none. */
  readonly noJail?: string;
  /** The operator wants no jail, so evaluations need not mention it. */
  readonly quiet: boolean;
  readonly builtIn: (held: Held) => Walk;
  readonly jobs?: {
    /** Why this nix-eval-jobs does not restrict evaluation, if it does not. */
    readonly unrestricted: string | undefined;
    readonly walk: (held: Held) => Walk;
  };
}

export interface WalkWishes {
  readonly checkout: string;
  /** Private folder of the evaluation. */
  readonly directory: string;
  readonly trusted: boolean;
  readonly signal: AbortSignal;
}

export type OpenedWalk =
  | {
      readonly kind: 'open';
      readonly walk: Walk;
      /** For the readers of the evaluation. */
      readonly notices: readonly string[];
      close(): Promise<void>;
    }
  | { readonly kind: 'refused'; readonly reason: string };

/** Gets ready to evaluate one checkout. */
export type OpenWalk = (wishes: WalkWishes) => Promise<OpenedWalk>;

export function createOpenWalk(options: OpenWalkOptions): OpenWalk {
  const { jobs, buildJail } = options;
  return async (wishes) => {
    // Code that nobody vouches for fetches nothing: an allowed prefix such as https:// leads to
    // everything that this machine can reach.
    const allowedUris = wishes.trusted ? options.allowedUris : [];
    if (buildJail === undefined) {
      const reason = options.noJail ?? 'there is no jail';
      if (!wishes.trusted) return { kind: 'refused', reason: refusal(reason) };
      const held = { containment: options.containment, allowedUris };
      const walk = (jobs?.walk ?? options.builtIn)(held);
      return { kind: 'open', walk, notices: options.quiet ? [] : [unlocked(reason)], close: async () => {} };
    }
    const room = await buildJail({ ...wishes, network: allowedUris.length > 0 });
    const held = { containment: room.containment, allowedUris };
    const { close } = room;
    if (jobs?.unrestricted === undefined) {
      return { kind: 'open', walk: (jobs?.walk ?? options.builtIn)(held), notices: [], close };
    }
    if (wishes.trusted) {
      const notices = [onlyJail(jobs.unrestricted)];
      return { kind: 'open', walk: jobs.walk(held), notices, close };
    }
    const notices = [
      `The built-in evaluator was used, because nix-eval-jobs cannot be: ${jobs.unrestricted}.`,
    ];
    return { kind: 'open', walk: options.builtIn(held), notices, close };
  };
}

function refusal(reason: string): string {
  return `This code is not trusted, so it is evaluated locked in or not at all, and this server cannot lock it in: ${reason}. 'ringmaster doctor' tells its operator more.`;
}

function unlocked(reason: string): string {
  return `This evaluation was not locked in: ${reason}. Only Nix's own restrictions held its code.`;
}

function onlyJail(reason: string): string {
  return `Nix's own restrictions were not in effect, because nix-eval-jobs is too old for them: ${reason}. The jail around it held the code, which could read the whole Nix store and fetch from any address.`;
}
