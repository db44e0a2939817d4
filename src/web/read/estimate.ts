/** When the builds of an evaluation will have ended, from how long such builds took before. */
import { z } from 'zod';
import { canTake } from '../../builds/index.ts';
import { type Reader, readRows } from './reader.ts';

const laneShape = z.object({
  trust_domain: z.string(),
  system: z.string(),
  required_features: z.array(z.string()),
  builds: z.number(),
  /** Of these, such as have a history. */
  known: z.number(),
  /** Milliseconds of work left in those. */
  work_ms: z.number().nullable(),
  /** Of the longest path that begins with one of them. */
  longest_ms: z.number().nullable(),
});
/** Unfinished builds that the same builders may take. */
export type OpenLane = z.infer<typeof laneShape>;

const machineShape = z.object({
  systems: z.array(z.string()),
  features: z.array(z.string()),
  mandatory_features: z.array(z.string()),
  trust_domains: z.array(z.string()),
  slots: z.number(),
});
export type OpenMachine = z.infer<typeof machineShape>;

/** Milliseconds; undefined: nobody knows. */
export async function estimateRemaining(reader: Reader, evaluationId: number): Promise<number | undefined> {
  const [lanes, machines] = await Promise.all([
    readRows(
      reader,
      laneShape,
      `WITH RECURSIVE needed (id) AS (
         SELECT b.id FROM jobs j JOIN builds b ON b.id = j.build_id
         WHERE j.evaluation_id = :evaluationId AND b.finished_at IS NULL
         UNION SELECT i.input_build_id FROM needed JOIN build_inputs i ON i.build_id = needed.id
         JOIN builds b ON b.id = i.input_build_id AND b.finished_at IS NULL)
       SELECT b.trust_domain, b.system, b.required_features, count(*) AS builds, count(d.name) AS known,
         sum(greatest(0, d.mean_ms - CASE WHEN b.state = 'building'
           THEN extract(epoch FROM now() - b.started_at) * 1000 ELSE 0 END))::float8 AS work_ms,
         max(b.remaining_ms - CASE WHEN b.state = 'building'
           THEN extract(epoch FROM now() - b.started_at) * 1000 ELSE 0 END)::float8 AS longest_ms
       FROM needed JOIN builds b ON b.id = needed.id
       LEFT JOIN build_durations d ON d.name = b.name AND d.system = b.system GROUP BY 1, 2, 3`,
      { evaluationId },
    ),
    readRows(
      reader,
      machineShape,
      `SELECT systems, features, mandatory_features, trust_domains, slots FROM builders
       WHERE process_id IS NOT NULL AND enabled AND NOT draining AND removed_at IS NULL`,
    ),
  ]);
  return remainingOf(lanes, machines);
}

/**
 * The work that is left over the slots that may take it, and not less than the longest path. Work for one
 * system does not end sooner for slots of another. Of builds without a history nothing is known; where they
 * are most, an estimate would be an invention. What no builder can take at the moment is left out: it waits for
 * a machine to come back, or ends for want of one.
 */
export function remainingOf(all: readonly OpenLane[], machines: readonly OpenMachine[]): number | undefined {
  const lanes = all.filter((lane) => machines.some((machine) => mayTake(machine, lane)));
  const sum = (of: (lane: OpenLane) => number) => lanes.reduce((total, lane) => total + of(lane), 0);
  const builds = sum((lane) => lane.builds);
  const known = sum((lane) => lane.known);
  if (builds === 0 || known * 2 < builds) return undefined;
  // Those without a history are taken to be like the others.
  const usual = sum((lane) => lane.work_ms ?? 0) / known;
  const works = lanes.map((lane) => ({
    lane,
    workMs: (lane.work_ms ?? 0) + (lane.builds - lane.known) * usual,
    able: machines.filter((machine) => mayTake(machine, lane)),
  }));
  const over = (some: typeof works) => {
    const able = new Set(some.flatMap((work) => work.able));
    const slots = [...able].reduce((total, machine) => total + machine.slots, 0);
    return some.reduce((total, work) => total + work.workMs, 0) / Math.max(1, slots);
  };
  const systems = [...new Set(lanes.map((lane) => lane.system))];
  return Math.max(
    over(works),
    ...systems.map((system) => over(works.filter(({ lane }) => lane.system === system))),
    ...works.map((work) => over([work])),
    ...lanes.map((lane) => lane.longest_ms ?? 0),
  );
}

function mayTake(machine: OpenMachine, lane: OpenLane): boolean {
  return canTake(
    {
      systems: machine.systems,
      features: machine.features,
      mandatoryFeatures: machine.mandatory_features,
      trustDomains: machine.trust_domains,
    },
    { trustDomain: lane.trust_domain, system: lane.system, requiredFeatures: lane.required_features },
  );
}
