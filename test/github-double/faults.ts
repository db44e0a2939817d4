/** Faults on demand: the next calls that fit meet a limit, an error, silence, or a cut wire. */
import { ApiError, primaryLimit, secondaryLimit } from './api-error.ts';
import { compilePattern } from './pattern.ts';
import type { World } from './world.ts';

export type FaultKind =
  /** 403 with `retry-after` (seconds). */
  | { readonly kind: 'secondary-limit'; readonly retryAfter?: number; readonly status?: 403 | 429 }
  /** 403 with `x-ratelimit-remaining: 0` and the reset so many seconds ahead. */
  | { readonly kind: 'primary-limit'; readonly resetIn?: number }
  | { readonly kind: 'status'; readonly status: number; readonly message?: string }
  /** The connection is cut before anything happens. */
  | { readonly kind: 'drop-before' }
  /** The write happens, but the caller never hears of it. */
  | { readonly kind: 'drop-after' }
  /** No answer until `faults.clear()` or the end of the double; then nothing happens. */
  | { readonly kind: 'hang' };

export type FaultRule = FaultKind & {
  readonly method?: string;
  /** A path pattern such as `/repos/:owner/:repo/check-runs`, or a regular expression. Default: every path. */
  readonly path?: string | RegExp;
  /** How many calls meet it, default 1. */
  readonly times?: number;
  /** How many fitting calls pass unharmed before. */
  readonly after?: number;
};

export interface Faults {
  inject(rule: FaultRule): void;
  /** Forgets all faults and releases hanging calls, which then find their connection cut. */
  clear(): void;
  /** The fault this call meets; uses it up. */
  take(method: string, path: string): FaultKind | undefined;
  /** Resolves at `clear()`. */
  released(): Promise<void>;
  /** Faults not met yet. */
  pending(): number;
}

interface ActiveFault {
  readonly rule: FaultRule;
  readonly matches: (path: string) => boolean;
  left: number;
  skip: number;
}

export function createFaults(): Faults {
  const active: ActiveFault[] = [];
  const waiting = new Set<() => void>();
  return {
    inject: (rule) => {
      const regex = typeof rule.path === 'string' ? compilePattern(rule.path).regex : rule.path;
      active.push({
        rule,
        matches: (path) => regex === undefined || regex.test(path),
        left: rule.times ?? 1,
        skip: rule.after ?? 0,
      });
    },
    clear: () => {
      active.length = 0;
      for (const wake of waiting) wake();
      waiting.clear();
    },
    take: (method, path) => {
      for (const fault of active) {
        if (fault.left === 0 || (fault.rule.method ?? method) !== method || !fault.matches(path)) continue;
        if (fault.skip > 0) {
          fault.skip -= 1;
          continue;
        }
        fault.left -= 1;
        return fault.rule;
      }
      return undefined;
    },
    released: () => new Promise((resolve) => waiting.add(resolve)),
    pending: () => active.reduce((sum, { left }) => sum + left, 0),
  };
}

/** The refusal for those faults that are one. */
export function faultError(world: World, fault: FaultKind): ApiError | undefined {
  switch (fault.kind) {
    case 'secondary-limit': {
      const error = secondaryLimit(fault.retryAfter ?? 60);
      if (fault.status !== 429) return error;
      return new ApiError({ status: 429, message: error.message, headers: error.headers });
    }
    case 'primary-limit':
      return primaryLimit(0, world.clock() / 1000 + (fault.resetIn ?? 60));
    case 'status':
      return new ApiError({ status: fault.status, message: fault.message ?? `Injected ${fault.status}` });
    default:
      return undefined;
  }
}
