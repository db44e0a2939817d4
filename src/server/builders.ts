/**
 * The builders that this process drives besides agents: its own machine, and the ssh builders that no
 * other process has.
 */
import { readFile } from 'node:fs/promises';
import type { Knex } from 'knex';
import type { Config } from '../basics/config/index.ts';
import { createWorkLoop, type Logger, messageOf, OperatorError } from '../basics/index.ts';
import {
  type Builder,
  type BuilderDescription,
  type BuilderFleet,
  createSshBuilder,
  describeConfigured,
  type HeldBuilder,
  holdSshBuilders,
  letGoOfBuilders,
  noteSeenBuilders,
  parseMachines,
  registerOwnMachine,
  syncConfiguredBuilders,
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

/** The builders that the configuration names. Rejects with an OperatorError when it is wrong. */
async function configuredBuilders(config: Config, system: string): Promise<readonly BuilderDescription[]> {
  const file = config.builds.machinesFile;
  const machines = file === undefined ? [] : parseMachines(await readMachines(file), file, system);
  return [...config.builders.map(describeConfigured), ...machines];
}

async function readMachines(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new OperatorError({
      code: 'machines-file-unreadable',
      message: `The list of machines ${file} cannot be read: ${messageOf(cause)}`,
      hint: 'It is named by builds.machines_file.',
      cause,
    });
  });
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
  let configured = false;

  async function registerOwn(builder: Builder): Promise<void> {
    const { id, name } = await registerOwnMachine(db, builder, processId);
    own = { ...builder, id, name };
    fleet.add(own);
  }

  /** A wrong configuration of builders stops none of the others. */
  async function configure(): Promise<void> {
    try {
      const wanted = await configuredBuilders(options.settings.config, working.nix.system);
      await syncConfiguredBuilders(db, wanted);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      log.error(
        { reason: error.message, hint: error.hint },
        'the builders of the configuration are not used',
      );
    }
    configured = true;
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
      if (!configured) await configure();
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
