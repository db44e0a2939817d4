/**
 * How much an installation may write. GitHub allows 80 content-creating requests a minute and 500
 * an hour, in bursts, and blocks who goes over.
 *
 * Each call is counted in a sliding window rather than a token bucket: a bucket of 80 that refills
 * by 80 a minute lets 160 through in its first one. The counts live in this process; after a restart
 * they begin at nothing, and GitHub's own answer (`retry-after`) is what then slows us down.
 */

export type Urgency = 'essential' | 'result' | 'progress';

export interface WriteBudget {
  /** Writes within any minute and any hour. */
  readonly perMinute: number;
  readonly perHour: number;
}

/**
 * What each urgency may use up to, all calls counted. The difference to GitHub's 80 and 500 is for
 * its clock and for writes outside the outbox (comments). The difference between the urgencies keeps
 * room for ends when progress was eager: a revision of 40 quick attributes has 20 calls of progress,
 * and the 40 ends, gate and summary still fit into the same minute.
 */
export const budgets = {
  essential: { perMinute: 76, perHour: 470 },
  result: { perMinute: 70, perHour: 440 },
  progress: { perMinute: 20, perHour: 200 },
} as const satisfies Record<Urgency, WriteBudget>;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

export interface Governor {
  /** Writes of this urgency that are allowed right now. */
  room(installationId: number, urgency: Urgency): number;
  /** Counts one write. */
  spend(installationId: number): void;
  /** When the next write of this urgency is allowed; now or earlier when there is room. */
  nextRoom(installationId: number, urgency: Urgency): Date;
}

/** One governor serves all installations of a process. */
export function createGovernor(now: () => Date = () => new Date()): Governor {
  const written = new Map<number, number[]>();

  /** Times of the writes of the last hour, oldest first. */
  function recent(installationId: number): readonly number[] {
    const since = now().getTime() - hourMs;
    const times = (written.get(installationId) ?? []).filter((time) => time > since);
    if (times.length > 0) written.set(installationId, times);
    else written.delete(installationId);
    return times;
  }

  return {
    room(installationId, urgency) {
      const times = recent(installationId);
      const since = now().getTime() - minuteMs;
      const lastMinute = times.filter((time) => time > since).length;
      const budget = budgets[urgency];
      return Math.max(0, Math.min(budget.perMinute - lastMinute, budget.perHour - times.length));
    },

    spend(installationId) {
      written.set(installationId, [...recent(installationId), now().getTime()]);
    },

    nextRoom(installationId, urgency) {
      const times = recent(installationId);
      const budget = budgets[urgency];
      // The write whose leaving the window makes room; none when the window is not full.
      const inMinute = times.at(-budget.perMinute) ?? -Infinity;
      const inHour = times.at(-budget.perHour) ?? -Infinity;
      const at = Math.max(inMinute + minuteMs, inHour + hourMs, now().getTime());
      return new Date(at);
    },
  };
}
