/** Why a build waits, in words. */
import { canTake } from '../../builds/index.ts';
import { formatDuration } from '../format.ts';
import type { BuilderRow } from '../read/machines.ts';
import type { QueueRow } from '../read/queue.ts';
import { builderFace, takesBuilds } from '../words.ts';

/** What of a build decides who may take it, and when. */
export type WaitingBuild = Pick<
  QueueRow,
  'state' | 'system' | 'required_features' | 'trust_domain' | 'not_before'
> &
  Partial<Pick<QueueRow, 'cancelling' | 'waits_for' | 'pending_inputs'>>;

/** `needs kvm: builder big-1 is busy, a slot in about 4 min`. */
export function waitingReason(build: WaitingBuild, builders: readonly BuilderRow[], now: Date): string {
  if (build.cancelling) return 'is being cancelled';
  if (build.state === 'blocked') return forInputs(build);
  if (build.not_before !== null && build.not_before > now) {
    return `rests after trouble of a machine, tried again ${within(build.not_before, now)}`;
  }
  return `needs ${needs(build)}: ${forBuilders(build, builders, now)}`;
}

function forInputs({ waits_for: first, pending_inputs: pending = 0 }: WaitingBuild): string {
  if (!first) return 'for its inputs';
  return `for ${first}${pending > 1 ? ` and ${pending - 1} more` : ''}`;
}

function needs({ system, required_features: features }: WaitingBuild): string {
  return [...(system === 'builtin' ? ['any system'] : [system]), ...features].join(', ');
}

function forBuilders(build: WaitingBuild, builders: readonly BuilderRow[], now: Date): string {
  const lane = {
    trustDomain: build.trust_domain,
    system: build.system,
    requiredFeatures: build.required_features,
  };
  const able = builders.filter((builder) =>
    canTake(
      {
        systems: builder.systems,
        features: builder.features,
        mandatoryFeatures: builder.mandatory_features,
        trustDomains: builder.trust_domains,
      },
      lane,
    ),
  );
  if (able.length === 0) return 'no builder has that';
  const open = able.filter((builder) => takesBuilds(builder, now));
  if (open.length === 0) {
    const words = [...new Set(able.map((builder) => builderFace(builder, now).word))].join(' or ');
    return `${named(able)} ${words}`;
  }
  const free = open.find((builder) => builder.occupied < builder.slots);
  if (free) return `its turn comes on ${free.name}`;
  const times = open.flatMap(({ free_at: at }) => (at === null ? [] : [at]));
  const soonest = times.sort((a, b) => a.getTime() - b.getTime())[0];
  return `${named(open)} busy${soonest ? `, a slot ${within(soonest, now)}` : ''}`;
}

function named(builders: readonly BuilderRow[]): string {
  return builders.length === 1 ? `builder ${builders[0]?.name} is` : `its ${builders.length} builders are`;
}

/** `in about 4 min`: nobody knows the seconds of it. */
export function within(date: Date, now: Date): string {
  return `in ${about(date.getTime() - now.getTime())}`;
}

/** A duration that is an estimate, as short as one. */
export function about(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 50) return `about ${Math.max(1, Math.ceil(seconds / 10)) * 10} s`;
  if (seconds < 3600) return `about ${Math.max(1, Math.round(seconds / 60))} min`;
  return `about ${formatDuration(Math.round(seconds / 600) * 600_000)}`;
}
