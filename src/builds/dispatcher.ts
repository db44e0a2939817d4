/**
 * Keeps the builders of this process busy: claims ready builds for their free slots, runs them,
 * records how they ended.
 *
 * States of a dispatcher: running -> stopping (claims nothing, lets attempts finish for a while)
 * -> stopped (what still ran is given back to the queue; agents' attempts are left to the next server).
 */
import type { Knex } from 'knex';
import { createWorkLoop, type Logger, messageOf } from '../basics/index.ts';
import { type Builder, type BuilderFleet, createBuilderHealth } from '../builders/index.ts';
import type { Secrets } from '../logs/index.ts';
import { cancelRequested } from './cancel.ts';
import { claimChecks } from './checks/index.ts';
import { type Claim, type ClaimingBuilder, claimBuilds } from './claim.ts';
import type { OnBuildsChanged } from './complete.ts';
import { createCompletions } from './completions.ts';
import { adoptAttempt, letGoOfLeased, releaseForgotten, takenAway } from './leases.ts';
import { createRunner } from './runner.ts';

/** Builds that rest are looked at this often; everything else is woken by a notification. */
const lookAgainMs = 5_000;
const retryMs = 1_000;
/** Milliseconds until the next looks when others were claiming what this process could take. */
const contendedMs = [20, 100, 500];

export interface DispatcherOptions {
  readonly db: Knex;
  readonly fleet: BuilderFleet;
  readonly processId: number;
  /** Seconds; 0 means no limit. Of builds that do not say it themselves. */
  readonly timeoutSeconds: number;
  readonly maxSilentSeconds: number;
  /** Seconds of a builder's first rest after its machine failed. */
  readonly firstRestSeconds?: number;
  readonly onBuildsChanged: OnBuildsChanged;
  /** Per cent of what was built that is to be built again and compared; default 0. */
  readonly checkPercent?: number;
  /** What must not be in logs; asked for each line. */
  readonly secrets?: () => Secrets;
  readonly log: Logger;
}

export interface Dispatcher {
  /** Looks for ready builds now. */
  wake(): void;
  /** Stops what runs here and is to be cancelled. */
  stopCancelled(): void;
  /** Reads what operators decided on builders. */
  lookAtBuilders(): void;
  /** Attempts under way. */
  readonly running: number;
  /**
   * Takes over attempts that a builder says it is running, begun under another server; returns those
   * that it is to go on with. `builder.attempt` is called for each of them.
   */
  adopt(builder: Builder, attemptIds: readonly number[]): Promise<readonly number[]>;
  /** Claims no more, waits up to `graceMs` for what runs, and gives the rest back to the queue. */
  stop(graceMs: number): Promise<void>;
}

export function startDispatcher(options: DispatcherOptions): Dispatcher {
  const { db, fleet, processId, log } = options;
  const completions = createCompletions(options);
  const health = createBuilderHealth({
    db,
    firstRestSeconds: options.firstRestSeconds ?? 60,
    onRecovered: () => loop.wake(),
    log,
  });
  const runner = createRunner({ ...options, completions, health, onSlotFree: () => loop.wake() });
  /** Being adopted: the database may already say that they run here. */
  const adopting = new Set<number>();
  let contentions = 0;
  let retry: NodeJS.Timeout | undefined;

  async function compareWithDatabase(): Promise<void> {
    await health.refresh(fleet.list());
    const running = runner.attemptIds();
    for (const attemptId of await takenAway(db, running)) {
      if (runner.stopAttempt(attemptId, 'taken-away')) {
        log.warn({ attempt: attemptId }, 'an attempt was given to another process meanwhile, stopping it');
      }
    }
    await stopThoseCancelled();
    const here = [...runner.attemptIds(), ...adopting];
    const released = await db.transaction((trx) => releaseForgotten(trx, processId, here));
    if (released.length > 0) log.warn({ builds: released }, 'gave back builds that nobody was building');
  }

  async function stopThoseCancelled(): Promise<void> {
    for (const attemptId of await cancelRequested(db, runner.attemptIds())) {
      runner.stopAttempt(attemptId, 'cancelled');
    }
  }

  async function claimForFreeSlots(): Promise<void> {
    clearTimeout(retry);
    for (let more = true; more && !loop.stopping; ) {
      const builders = fleet.list().filter((builder) => health.accepts(builder));
      const capacities = builders.map(capacityOf);
      if (!capacities.some((builder) => builder.free > 0)) return;
      const claim = await claimFor(capacities);
      // What was claimed while the end began is given back by `stop`.
      if (loop.stopping) return;
      const byId = new Map(builders.map((builder) => [builder.id, builder]));
      for (const build of claim.builds) {
        const builder = byId.get(build.builderId);
        if (builder) runner.start(builder, build);
      }
      lookAgainSoon(claim);
      more = claim.more;
      if (claim.builds.length === 0 && !claim.contended) await claimChecksFor(builders, capacities);
    }
  }

  /** A builder works on one check at a time: the next build is never far from a slot. */
  async function claimChecksFor(
    builders: readonly Builder[],
    capacities: readonly ClaimingBuilder[],
  ): Promise<void> {
    const able = capacities.filter(({ id, free }) => free > 0 && !runner.isChecking(id));
    if (able.length === 0) return;
    const checks = await db.transaction((trx) => claimChecks(trx, able, processId));
    if (loop.stopping) return;
    for (const check of checks) {
      const builder = builders.find(({ id }) => id === check.builderId);
      if (builder) runner.start(builder, check);
    }
  }

  /** Flushed to disk, unlike a log: an attempt that a crashed database forgets goes on here, and its number may be given to another one. */
  function claimFor(builders: readonly ClaimingBuilder[]): Promise<Claim> {
    return db.transaction(async (trx) => {
      const claim = await claimBuilds(trx, { builders, processId });
      if (claim.builds.length > 0) {
        await options.onBuildsChanged(
          trx,
          claim.builds.map((build) => build.buildId),
        );
      }
      return claim;
    });
  }

  function lookAgainSoon(claim: Claim): void {
    contentions = claim.contended ? contentions + 1 : 0;
    const wait = claim.contended ? contendedMs[contentions - 1] : undefined;
    if (wait !== undefined) retry = setTimeout(() => loop.wake(), wait * (0.5 + Math.random()));
  }

  function capacityOf(builder: Builder): ClaimingBuilder {
    const { id, name, systems, features, mandatoryFeatures, trustDomains, slots, kind } = builder;
    const free = Math.max(0, slots - runner.runningOn(id));
    const speed = health.speedOf(builder);
    return {
      id,
      name,
      systems,
      features,
      mandatoryFeatures,
      trustDomains,
      slots,
      free,
      speed,
      leased: kind === 'agent',
    };
  }

  function background(what: string, work: () => Promise<void>): void {
    work().catch((error: unknown) => log.warn({ reason: messageOf(error) }, what));
  }

  const loop = createWorkLoop({
    lookAgainMs,
    retryMs,
    compare: compareWithDatabase,
    take: claimForFreeSlots,
    onError: (error) => log.warn({ err: error }, 'the build queue does not answer, trying again'),
  });
  const unsubscribe = fleet.onChange(() => loop.compareSoon());
  return {
    wake: () => loop.wake(),
    stopCancelled: () => background('builds to be cancelled could not be looked for', stopThoseCancelled),
    lookAtBuilders: () =>
      background('the states of the builders could not be read', async () => {
        await health.refresh(fleet.list());
        loop.wake();
      }),
    get running() {
      return runner.attemptIds().length;
    },
    async adopt(builder, attemptIds) {
      const taken: number[] = [];
      for (const attemptId of attemptIds) {
        adopting.add(attemptId);
        try {
          const build = await db.transaction((trx) => adoptAttempt(trx, attemptId, builder.id, processId));
          if (!build || loop.stopping) continue;
          runner.start(builder, build);
          taken.push(attemptId);
        } finally {
          adopting.delete(attemptId);
        }
      }
      return taken;
    },
    async stop(graceMs) {
      const stopped = loop.stop();
      unsubscribe();
      clearTimeout(retry);
      const grace = setTimeout(() => {
        runner.stopAll();
        completions.giveUp();
      }, graceMs);
      await stopped;
      await runner.untilLocalOnesEnded();
      clearTimeout(grace);
      health.stop();
      await letGoOfLeased(db, processId);
      await db.transaction((trx) => releaseForgotten(trx, processId, [], 'The server was stopped.'));
    },
  };
}
