/**
 * Which ready builds go to which builders. Pure: the queue and the builders come in, pairs go out.
 *
 * Order: priority; then builds that few builders can take, so that others do not fill those; then the
 * project that has least; then the longest remaining path; then age. Among the builders that can take
 * a build, those that nothing scarcer waits for, and of these the one with the most free speed.
 */
import { type Capability, canTake, capabilityKey, type Lane } from './capability.ts';

export interface Candidate {
  readonly id: number;
  readonly priority: number;
  readonly remainingMs: number;
  /** Builders that must not have it. */
  readonly excluded: readonly number[];
}

/** A lane and the first of its builds, in the order of the lane. */
export interface WaitingLane {
  readonly lane: Lane;
  readonly candidates: readonly Candidate[];
  /** There are more behind them. */
  readonly truncated: boolean;
}

export interface BuilderCapacity extends Capability {
  readonly id: number;
  readonly name: string;
  readonly slots: number;
  readonly free: number;
  readonly speed: number;
}

export interface AssignRequest {
  readonly lanes: readonly WaitingLane[];
  readonly builders: readonly BuilderCapacity[];
  /** Builds that run, by project. */
  readonly running: ReadonlyMap<number, number>;
}

export interface Assignment {
  readonly buildId: number;
  readonly builder: BuilderCapacity;
}

export interface Assignments {
  readonly assignments: readonly Assignment[];
  /** Another look may find more for the slots that are left. */
  readonly more: boolean;
}

export function assignBuilds(request: AssignRequest): Assignments {
  const groups = groupBuilders(request.builders);
  const queues = queuesOf(request.lanes, groups);
  const share = new Map(request.running);
  const assignments: Assignment[] = [];
  /** Builds of a lower priority wait: some of this one were not looked at. */
  let floor = Number.NEGATIVE_INFINITY;
  let more = false;
  for (;;) {
    const queue = firstInOrder(queues, share);
    const candidate = queue?.candidates[queue.next];
    if (!queue || !candidate || candidate.priority < floor) break;
    queue.next += 1;
    const choice = chooseBuilder(queue, candidate, queues);
    if (choice === 'full') queue.blocked = true;
    if (typeof choice !== 'object') continue;
    choice.free -= 1;
    assignments.push({ buildId: candidate.id, builder: choice.builder });
    share.set(queue.lane.projectId, (share.get(queue.lane.projectId) ?? 0) + 1);
    if (queue.truncated && queue.next >= queue.candidates.length) {
      floor = Math.max(floor, candidate.priority);
      more = true;
    }
  }
  return { assignments, more };
}

interface Machine {
  readonly builder: BuilderCapacity;
  free: number;
}

/** Builders that can take the same builds. */
interface Group {
  readonly capability: Capability;
  readonly machines: Machine[];
}

interface Queue extends WaitingLane {
  readonly groups: readonly Group[];
  /** Slots, free or not, of all builders that can take it: few are scarce. */
  readonly capacity: number;
  next: number;
  /** No builder that can take it has a free slot. */
  blocked: boolean;
}

function groupBuilders(builders: readonly BuilderCapacity[]): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const builder of builders) {
    const key = capabilityKey(builder);
    const group = groups.get(key) ?? { capability: builder, machines: [] };
    groups.set(key, group);
    group.machines.push({ builder, free: builder.free });
  }
  return [...groups.values()];
}

function queuesOf(lanes: readonly WaitingLane[], groups: readonly Group[]): Queue[] {
  return lanes.map((waiting) => {
    const able = groups.filter((group) => canTake(group.capability, waiting.lane));
    const capacity = able
      .flatMap((group) => group.machines)
      .reduce((sum, { builder }) => sum + builder.slots, 0);
    return { ...waiting, groups: able, capacity, next: 0, blocked: able.length === 0 };
  });
}

function firstInOrder(queues: readonly Queue[], share: ReadonlyMap<number, number>): Queue | undefined {
  let best: Queue | undefined;
  for (const queue of queues) {
    if (queue.blocked || queue.next >= queue.candidates.length) continue;
    if (best === undefined || comesBefore(queue, best, share)) best = queue;
  }
  return best;
}

function comesBefore(a: Queue, b: Queue, share: ReadonlyMap<number, number>): boolean {
  const [first, second] = [a.candidates[a.next], b.candidates[b.next]];
  if (!first || !second) return first !== undefined;
  if (first.priority !== second.priority) return first.priority > second.priority;
  if (a.capacity !== b.capacity) return a.capacity < b.capacity;
  const [has, hasOther] = [share.get(a.lane.projectId) ?? 0, share.get(b.lane.projectId) ?? 0];
  if (has !== hasOther) return has < hasOther;
  if (first.remainingMs !== second.remainingMs) return first.remainingMs > second.remainingMs;
  return first.id < second.id;
}

/** `full`: nobody who can take such builds has a slot. `excluded`: only this one finds nobody. */
function chooseBuilder(
  queue: Queue,
  candidate: Candidate,
  queues: readonly Queue[],
): Machine | 'full' | 'excluded' {
  let best: { machine: Machine; scarcer: number } | undefined;
  let full = true;
  for (const group of queue.groups) {
    if (group.machines.every((machine) => machine.free <= 0)) continue;
    full = false;
    const scarcer = scarcerWaiting(queue, group, queues);
    if (best && scarcer > best.scarcer) continue;
    for (const machine of group.machines) {
      if (machine.free <= 0 || candidate.excluded.includes(machine.builder.id)) continue;
      if (!best || scarcer < best.scarcer || isBetter(machine, best.machine)) best = { machine, scarcer };
    }
  }
  return best?.machine ?? (full ? 'full' : 'excluded');
}

/** Lanes that still wait for this group and have fewer builders to go to than this one. */
function scarcerWaiting(queue: Queue, group: Group, queues: readonly Queue[]): number {
  return queues.filter(
    (other) =>
      other.capacity < queue.capacity && other.next < other.candidates.length && other.groups.includes(group),
  ).length;
}

function isBetter(a: Machine, b: Machine): boolean {
  const [freeA, freeB] = [a.free * a.builder.speed, b.free * b.builder.speed];
  if (freeA !== freeB) return freeA > freeB;
  return a.builder.features.length < b.builder.features.length;
}
