/** GitHub's rate limits per installation, by the double's clock. */
import { primaryLimit, secondaryLimit } from './api-error.ts';
import type { Clock } from './world.ts';

export interface Limits {
  /** Content-creating requests a minute; GitHub's number is 80. */
  readonly contentPerMinute?: number;
  /** Content-creating requests an hour; GitHub's number is 500. */
  readonly contentPerHour?: number;
  /** All requests an hour; GitHub's number is 5,000. */
  readonly requestsPerHour?: number;
  /** Points a minute, 1 for reading and 5 for writing; GitHub's number is 900. */
  readonly pointsPerMinute?: number;
  /** Requests at the same time; GitHub's number is 100. */
  readonly concurrent?: number;
}

/** What github.com enforces for an installation. */
export const githubLimits = {
  contentPerMinute: 80,
  contentPerHour: 500,
  requestsPerHour: 5000,
  pointsPerMinute: 900,
  concurrent: 100,
} as const satisfies Limits;

export interface LimitState {
  readonly limit: number;
  readonly used: number;
  readonly remaining: number;
  /** Seconds since 1970. */
  readonly reset: number;
}

export interface RateLimiter {
  /** Switches enforcement on (with numbers) or off. */
  enforce(limits: Limits | undefined): void;
  /**
   * Counts a request that begins, or throws the refusal; refused requests are not counted. What it
   * returns is to be called when the request has been answered.
   */
  count(installationId: number, creating: boolean): () => void;
  state(installationId: number): LimitState;
  /** The most there ever was of each, whether it was enforced or not. */
  most(installationId: number): Most;
}

export interface Most {
  readonly contentPerMinute: number;
  readonly contentPerHour: number;
  readonly pointsPerMinute: number;
  readonly concurrent: number;
}

interface Usage {
  windowStart: number;
  requests: number;
  /** Times of content-creating requests within the last hour, oldest first. */
  creations: number[];
  /** Requests of the last minute and what they weigh. */
  weights: { readonly time: number; readonly points: number }[];
  active: number;
  most: Most;
}

const none: Most = { contentPerMinute: 0, contentPerHour: 0, pointsPerMinute: 0, concurrent: 0 };
const points = { reading: 1, writing: 5 } as const;

const minuteMs = 60_000;
const hourMs = 3_600_000;

export function createRateLimiter(clock: Clock): RateLimiter {
  const usages = new Map<number, Usage>();
  let limits: Limits | undefined;
  const usageOf = (installationId: number): Usage => {
    const now = clock();
    const usage = usages.get(installationId) ?? {
      windowStart: now,
      requests: 0,
      creations: [],
      weights: [],
      active: 0,
      most: none,
    };
    usages.set(installationId, usage);
    if (now >= usage.windowStart + hourMs) Object.assign(usage, { windowStart: now, requests: 0 });
    usage.creations = usage.creations.filter((time) => time > now - hourMs);
    usage.weights = usage.weights.filter(({ time }) => time > now - minuteMs);
    return usage;
  };
  const limit = () => limits?.requestsPerHour ?? githubLimits.requestsPerHour;
  return {
    enforce: (given) => {
      limits = given;
    },
    count: (installationId, creating) => {
      const usage = usageOf(installationId);
      const reset = usage.windowStart + hourMs;
      if (limits && usage.requests >= limit()) throw primaryLimit(installationId, reset / 1000);
      const weight = creating ? points.writing : points.reading;
      refuseWhenHeavy(usage, weight, limits, clock());
      if (limits && creating) {
        refuseWhenFull(usage.creations, limits.contentPerMinute, minuteMs, clock());
        refuseWhenFull(usage.creations, limits.contentPerHour, hourMs, clock());
      }
      usage.requests += 1;
      usage.active += 1;
      usage.weights.push({ time: clock(), points: weight });
      if (creating) usage.creations.push(clock());
      usage.most = mostOf(usage, clock());
      return () => {
        usage.active -= 1;
      };
    },
    most: (installationId) => usageOf(installationId).most,
    state: (installationId) => {
      const usage = usageOf(installationId);
      return {
        limit: limit(),
        used: usage.requests,
        remaining: Math.max(0, limit() - usage.requests),
        reset: Math.ceil((usage.windowStart + hourMs) / 1000),
      };
    },
  };
}

function pointsOf(usage: Usage): number {
  return usage.weights.reduce((sum, weighed) => sum + weighed.points, 0);
}

function mostOf(usage: Usage, now: number): Most {
  const { most } = usage;
  const lastMinute = usage.creations.filter((time) => time > now - minuteMs).length;
  return {
    contentPerMinute: Math.max(most.contentPerMinute, lastMinute),
    contentPerHour: Math.max(most.contentPerHour, usage.creations.length),
    pointsPerMinute: Math.max(most.pointsPerMinute, pointsOf(usage)),
    concurrent: Math.max(most.concurrent, usage.active),
  };
}

function refuseWhenHeavy(usage: Usage, weight: number, limits: Limits | undefined, now: number): void {
  if (limits?.concurrent !== undefined && usage.active >= limits.concurrent) throw secondaryLimit(60);
  if (limits?.pointsPerMinute === undefined || pointsOf(usage) + weight <= limits.pointsPerMinute) return;
  throw secondaryLimit(((usage.weights[0]?.time ?? now) + minuteMs - now) / 1000);
}

function refuseWhenFull(
  times: readonly number[],
  limit: number | undefined,
  windowMs: number,
  now: number,
): void {
  if (limit === undefined) return;
  const recent = times.filter((time) => time > now - windowMs);
  if (recent.length < limit) return;
  const frees = (recent[recent.length - limit] ?? now) + windowMs;
  throw secondaryLimit((frees - now) / 1000);
}
