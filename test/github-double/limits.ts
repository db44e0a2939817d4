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
}

/** What github.com enforces for an installation. */
export const githubLimits = { contentPerMinute: 80, contentPerHour: 500, requestsPerHour: 5000 } as const;

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
  /** Counts a request, or throws the refusal. Refused requests are not counted. */
  count(installationId: number, creating: boolean): void;
  state(installationId: number): LimitState;
}

interface Usage {
  windowStart: number;
  requests: number;
  /** Times of content-creating requests within the last hour, oldest first. */
  creations: number[];
}

const minuteMs = 60_000;
const hourMs = 3_600_000;

export function createRateLimiter(clock: Clock): RateLimiter {
  const usages = new Map<number, Usage>();
  let limits: Limits | undefined;
  const usageOf = (installationId: number): Usage => {
    const now = clock();
    const usage = usages.get(installationId) ?? { windowStart: now, requests: 0, creations: [] };
    usages.set(installationId, usage);
    if (now >= usage.windowStart + hourMs) Object.assign(usage, { windowStart: now, requests: 0 });
    usage.creations = usage.creations.filter((time) => time > now - hourMs);
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
      if (limits && creating) {
        refuseWhenFull(usage.creations, limits.contentPerMinute, minuteMs, clock());
        refuseWhenFull(usage.creations, limits.contentPerHour, hourMs, clock());
      }
      usage.requests += 1;
      if (creating) usage.creations.push(clock());
    },
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
