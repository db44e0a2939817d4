/** How code is held while it is evaluated: locked in, or by Nix's restrictions alone, or not evaluated at all. */
import { join } from 'node:path';
import type { PendingDerivations, StoreLayout } from '../../nix/index.ts';
import type { EvaluationLimits, FetchAccess, OnImport } from '../events.ts';
import type { Containment } from './command-line.ts';
import type { BuildJail } from './jail/jail-room.ts';
import type { Audit } from './store-gate/audit.ts';
import { gateAddress, type StoreGate } from './store-gate/store-gate.ts';
import type { Trail } from './store-gate/trail.ts';
import type { Waiting } from './waiting.ts';
import type { Walk } from './walk.ts';
import { writeAhead } from './write-ahead.ts';

/** What the walks of one evaluation are held by. */
export interface Held {
  readonly containment: Containment;
  readonly allowedUris: readonly string[];
}

export interface OpenWalkOptions {
  readonly allowedUris: readonly string[];
  /** Of processes that are not locked in. */
  readonly containment: Containment;
  readonly layout: StoreLayout;
  readonly openGate: (wishes: WalkWishes) => Promise<StoreGate>;
  readonly buildJail?: BuildJail;
  /** Whether code could have copied for itself what only fetchers are to read. */
  readonly treesUnchecked: boolean;
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
  /** Where the derivations go that are made. */
  readonly derivations: PendingDerivations;
  /** Called when a derivation of these is asked for that is not built. */
  readonly onLookedAt?: (() => void) | undefined;
  readonly trail: Trail;
  readonly audit: Audit | undefined;
  readonly limits: EvaluationLimits;
  readonly waiting: Waiting;
  readonly onImport?: OnImport | undefined;
  readonly fetchAccess?: FetchAccess | undefined;
}

export type OpenedWalk =
  | {
      readonly kind: 'open';
      readonly walk: Walk;
      /** The store as Nix outside of the jail is to address it, so that it is known what was added. */
      readonly store: string;
      /** For the readers of the evaluation. */
      readonly notices: readonly string[];
      close(): Promise<void>;
    }
  | { readonly kind: 'refused'; readonly reason: string };

/** Gets ready to evaluate one checkout. */
export type OpenWalk = (wishes: WalkWishes) => Promise<OpenedWalk>;

export function createOpenWalk(options: OpenWalkOptions): OpenWalk {
  const { jobs, buildJail, layout } = options;
  // nix-eval-jobs up to 2.34 asks for the derivation of each job right after it was made, and reads the
  // file; newer ones take a store behind a socket at its word. They do not tell their versions.
  let readsFiles = false;
  return async (wishes) => {
    const reason = options.noJail ?? 'there is no jail';
    if (buildJail === undefined && !wishes.trusted) return { kind: 'refused', reason: refusal(reason) };
    const ahead = takesJobs(wishes)
      ? writeAhead(wishes.derivations, { atLeast: 1, atOnce: readsFiles })
      : undefined;
    const onLookedAt = () => {
      readsFiles = true;
      ahead?.begin();
    };
    const gate = await options.openGate({
      ...wishes,
      ...(ahead && { derivations: ahead.derivations, onLookedAt }),
    });
    const close = async () => {
      await gate.close();
      await ahead?.end();
    };
    try {
      // Code that nobody vouches for fetches nothing: an allowed prefix such as https:// leads to
      // everything that this machine can reach.
      const allowedUris = wishes.trusted ? options.allowedUris : [];
      // Without a jail the token would lie where the code's own builds might find it.
      const fetchAccess = wishes.trusted && buildJail ? wishes.fetchAccess : undefined;
      const { socket } = gate;
      const containment = buildJail
        ? await buildJail({ ...wishes, fetchAccess, socket, network: allowedUris.length > 0 })
        : { ...options.containment, env: unlockedEnvironment(wishes, gateAddress(socket, layout)) };
      const held = { containment, allowedUris };
      const chosen = jobs && takesJobs(wishes) ? jobs.walk(held) : options.builtIn(held);
      const withoutTrees = fetchAccess !== undefined && options.treesUnchecked;
      const walk: Walk = withoutTrees ? (request) => chosen({ ...request, withoutTrees }) : chosen;
      return { kind: 'open', walk, notices: noticesFor(wishes), store: gateAddress(socket, layout), close };
    } catch (error) {
      await close();
      throw error;
    }
  };

  /** Whether nix-eval-jobs is used. What does not restrict by itself could read the token. */
  function takesJobs({ trusted, fetchAccess }: WalkWishes): boolean {
    if (jobs === undefined) return false;
    return buildJail === undefined || jobs.unrestricted === undefined || (trusted && !fetchAccess);
  }

  /** What the readers of the evaluation are told about how it was held. */
  function noticesFor({ trusted, fetchAccess }: WalkWishes): readonly string[] {
    if (buildJail === undefined) {
      const reason = options.noJail ?? 'there is no jail';
      const notices = options.quiet ? [] : [unlocked(reason)];
      return fetchAccess ? [...notices, withoutAccess(fetchAccess, reason)] : notices;
    }
    if (jobs?.unrestricted === undefined) return [];
    if (trusted && !fetchAccess) return [onlyJail(jobs.unrestricted)];
    return [`The built-in evaluator was used, because nix-eval-jobs cannot be: ${jobs.unrestricted}.`];
  }
}

/**
 * What fetchers keep is this evaluation's own, as in a jail: what an evaluation may use follows from
 * what it was seen to fetch.
 */
function unlockedEnvironment({ directory }: WalkWishes, store: string) {
  return { NIX_REMOTE: store, XDG_CACHE_HOME: join(directory, 'cache') };
}

function refusal(reason: string): string {
  return `This code is not trusted, so it is evaluated locked in or not at all, and this server cannot lock it in: ${reason}. 'ringmaster doctor' tells its operator more.`;
}

function unlocked(reason: string): string {
  return `This evaluation was not locked in: ${reason}. Only Nix's own restrictions held its code.`;
}

function withoutAccess({ repositories }: FetchAccess, reason: string): string {
  return `${repositories.join(', ')} cannot be fetched: that takes a jail, and ${reason}.`;
}

function onlyJail(reason: string): string {
  return `Nix's own restrictions were not in effect, because nix-eval-jobs is too old for them: ${reason}. The jail around it held the code, which could read the whole Nix store and fetch from any address.`;
}
