/** What a failed call to GitHub means: who must wait, who must give up, and GitHub's own words. */
import { z } from 'zod';
import { messageOf } from '../basics/index.ts';

/**
 * - `unavailable`: network, timeout or 5xx; what was asked may have happened nevertheless.
 * - `rate-limited`: GitHub wants to be left alone for `afterSeconds`.
 * - `unauthorized`: the token or the App's key is not accepted.
 * - `forbidden`, `not-found`, `invalid`: the answer will be the same next time.
 */
export interface GitHubFailure {
  readonly kind: 'unavailable' | 'rate-limited' | 'unauthorized' | 'forbidden' | 'not-found' | 'invalid';
  readonly reason: string;
  readonly afterSeconds: number | undefined;
}

/** GitHub's advice where it names no time: at least a minute. */
const defaultPauseSeconds = 60;
/** Nothing pauses longer than this, whatever a header says; the primary limit renews hourly. */
const longestPauseSeconds = 2 * 3600;

const requestError = z.object({
  status: z.number(),
  message: z.string(),
  response: z.object({ headers: z.record(z.string(), z.unknown()).catch({}), data: z.unknown() }).optional(),
});
type RequestError = z.infer<typeof requestError>;

const errorBody = z.object({
  message: z.string(),
  errors: z
    .array(
      z.union([
        z.string(),
        z.object({
          message: z.string().optional(),
          field: z.string().optional(),
          code: z.string().optional(),
        }),
      ]),
    )
    .optional()
    .catch(undefined),
});

/** Classifies whatever a call to GitHub rejected with. */
export function failureOf(error: unknown): GitHubFailure {
  const parsed = requestError.safeParse(error);
  // Octokit reports a connection that failed as status 500 without a response.
  if (!parsed.success || !parsed.data.response) {
    return {
      kind: 'unavailable',
      reason: `GitHub cannot be reached: ${cut(messageOf(error))}`,
      afterSeconds: undefined,
    };
  }
  const { status } = parsed.data;
  const header = headersOf(parsed.data);
  const reason = `GitHub answered ${status}: ${wordsOf(parsed.data)}`;
  if ((status === 403 || status === 429) && isRateLimit(parsed.data, header)) {
    return { kind: 'rate-limited', reason, afterSeconds: pauseOf(header) };
  }
  if (status >= 500 || status === 408 || status === 409) {
    const wait = header('retry-after');
    return { kind: 'unavailable', reason, afterSeconds: wait === undefined ? undefined : pauseOf(header) };
  }
  if (status === 401) return { kind: 'unauthorized', reason, afterSeconds: undefined };
  if (status === 403 || status === 451) return { kind: 'forbidden', reason, afterSeconds: undefined };
  if (status === 404 || status === 410) return { kind: 'not-found', reason, afterSeconds: undefined };
  return { kind: 'invalid', reason, afterSeconds: undefined };
}

/** Whether it was a call to GitHub that rejected with this: octokit gives all its errors a status. */
export function isFromGitHub(error: unknown): boolean {
  return requestError.safeParse(error).success;
}

type Header = (name: string) => string | undefined;

function headersOf(error: RequestError): Header {
  return (name) => {
    const value = error.response?.headers[name];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
  };
}

function isRateLimit(error: RequestError, header: Header): boolean {
  return (
    error.status === 429 ||
    header('retry-after') !== undefined ||
    header('x-ratelimit-remaining') === '0' ||
    /rate limit|abuse detection/i.test(error.message)
  );
}

/** `retry-after` in seconds or as a date, else when the primary limit renews, else a minute. */
function pauseOf(header: Header): number {
  // By GitHub's clock, which need not be ours.
  const now = Date.parse(header('date') ?? '') || Date.now();
  const retryAfter = header('retry-after');
  if (retryAfter !== undefined) {
    const seconds = Number(retryAfter);
    return bounded(Number.isFinite(seconds) ? seconds : (Date.parse(retryAfter) - now) / 1000);
  }
  const reset = Number(header('x-ratelimit-reset') ?? Number.NaN);
  const spent = header('x-ratelimit-remaining') === '0';
  return spent ? bounded(reset - now / 1000) : defaultPauseSeconds;
}

function bounded(seconds: number): number {
  if (!Number.isFinite(seconds)) return defaultPauseSeconds;
  return Math.min(Math.max(Math.ceil(seconds), 1), longestPauseSeconds);
}

function wordsOf(error: RequestError): string {
  const body = errorBody.safeParse(error.response?.data);
  if (!body.success) return cut(error.message);
  const details = (body.data.errors ?? []).map((detail) => {
    if (typeof detail === 'string') return detail;
    return [detail.field, detail.code, detail.message].filter((word) => word !== undefined).join(' ');
  });
  return cut([body.data.message, ...details].join('; '));
}

/** One line for people; proxies answer with whole pages. */
function cut(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 300);
}
