/**
 * The builders that this process drives besides agents: its own machine, and the ssh builders that no
 * other process has.
 */
import type { Knex } from 'knex';
import { createWorkLoop, type Logger, messageOf } from '../basics/index.ts';
import {
  type Builder,
  type BuilderFleet,
  createSshBuilder,
  type HeldBuilder,
  holdSshBuilders,
  letGoOfBuilders,
  noteSeenBuilders,
  registerOwnMachine,
} from '../builders/index.ts';
import type { WorkingNix } from './nix-machine.ts';
import type { ServerSettings } from './settings.ts';

/** Milliseconds after which it looks whether a builder has lost its server. */
const lookAgainMs = 10_000;
const retryMs = 2_000;

export interface DrivingOptions {
  readonly db: Knex;
  readonly processId: number;
  readonly fleet: BuilderFleet;
  readonly working: WorkingNix;
  /** The builder of this machine; undefined: it does not build. */
  readonly own: Builder | undefined;
  readonly settings: ServerSettings;
  readonly log: Logger;
}

export interface Driving {
  /** Looks for new, changed and removed builders now. */
  look(): void;
  stop(): Promise<void>;
}

interface Driven {
  /** What it was made from. */
  readonly made: string;
  readonly builder: Builder;
}

export function startDrivingBuilders(options: DrivingOptions): Driving {
  const { db, processId, fleet, working, log } = options;
  const driven = new Map<number, Driven>();
  /** Out of the fleet; what runs on them goes on until the end of the process. */
  const left: Builder[] = [];
  let own: Builder | undefined;

  async function registerOwn(builder: Builder): Promise<void> {
    const { id, name } = await registerOwnMachine(db, builder, processId);
    own = { ...builder, id, name };
    fleet.add(own);
  }

  async function holdOthers(): Promise<void> {
    const held = await holdSshBuilders(db, processId);
    for (const [id, { builder }] of driven) {
      if (!held.some((one) => one.id === id)) leave(id, builder);
    }
    for (const one of held) {
      const known = driven.get(one.id);
      const made = JSON.stringify(one);
      if (known?.made === made) continue;
      if (known) leave(one.id, known.builder);
      const builder = open(one);
      if (!builder) continue;
      driven.set(one.id, { made, builder });
      fleet.add(builder);
      log.info({ builder: one.name }, 'drives a builder');
    }
  }

  function leave(id: number, builder: Builder): void {
    driven.delete(id);
    fleet.remove(builder);
    left.push(builder);
  }

  function open(held: HeldBuilder): Builder | undefined {
    try {
      return createSshBuilder({
        ...held,
        local: working.store,
        layout: working.nix.layout,
        env: working.nix.environment,
        logger: log,
        maxLogBytes: options.settings.config.builds.logLimit,
      });
    } catch (error) {
      log.error({ builder: held.name, reason: messageOf(error) }, 'a builder cannot be used');
      return undefined;
    }
  }

  const loop = createWorkLoop({
    lookAgainMs,
    retryMs,
    compare: () => noteSeenBuilders(db, processId),
    take: async () => {
      if (options.own && !own) await registerOwn(options.own);
      await holdOthers();
    },
    onError: (error) => log.warn({ reason: messageOf(error) }, 'builders could not be looked for'),
  });
  return {
    look: () => loop.wake(),
    async stop() {
      await loop.stop();
      const others = [...[...driven.values()].map(({ builder }) => builder), ...left];
      await Promise.all(others.map((builder) => builder.close()));
      await letGoOfBuilders(db, processId);
    },
  };
}
