/** Refusals in GitHub's own words: a client that reads messages must meet the real ones. */
import type { JsonObject } from './json.ts';

const docs = 'https://docs.github.com/rest';

export interface FieldError {
  readonly resource: string;
  readonly field: string;
  readonly code: 'missing' | 'missing_field' | 'invalid' | 'custom' | 'unprocessable';
  readonly message?: string;
}

export interface ApiErrorDetails {
  readonly status: number;
  readonly message: string;
  readonly errors?: readonly (FieldError | string)[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly documentationUrl?: string;
}

/** A request the double refuses, as GitHub would. */
export class ApiError extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonObject;

  constructor(details: ApiErrorDetails) {
    super(details.message);
    this.name = 'ApiError';
    this.status = details.status;
    this.headers = details.headers ?? {};
    this.body = {
      message: details.message,
      ...(details.errors === undefined ? {} : { errors: details.errors }),
      documentation_url: details.documentationUrl ?? docs,
      status: String(details.status),
    };
  }
}

export const notFound = () => new ApiError({ status: 404, message: 'Not Found' });

export const badCredentials = () => new ApiError({ status: 401, message: 'Bad credentials' });

export const requiresAuthentication = () => new ApiError({ status: 401, message: 'Requires authentication' });

/** The answer to a token that reaches the repository but lacks the permission. */
export const notAccessible = (permission?: string) =>
  new ApiError({
    status: 403,
    message: 'Resource not accessible by integration',
    ...(permission === undefined ? {} : { headers: { 'x-accepted-github-permissions': permission } }),
  });

export const validationFailed = (errors: readonly FieldError[]) =>
  new ApiError({ status: 422, message: 'Validation Failed', errors });

export const unprocessable = (message: string) => new ApiError({ status: 422, message });

export const noCommit = (sha: string) => unprocessable(`No commit found for SHA: ${sha}`);

/** The abuse limit: no remaining count says when it ends, only `retry-after` (seconds). */
export const secondaryLimit = (retryAfterSeconds: number) =>
  new ApiError({
    status: 403,
    message: 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.',
    documentationUrl: `${docs}/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits`,
    headers: { 'retry-after': String(Math.max(1, Math.ceil(retryAfterSeconds))) },
  });

/** The hourly limit: `resetAt` in seconds since 1970. */
export const primaryLimit = (installationId: number, resetAt: number) =>
  new ApiError({
    status: 403,
    message: `API rate limit exceeded for installation ID ${installationId}.`,
    documentationUrl: `${docs}/overview/rate-limits-for-the-rest-api`,
    headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Math.ceil(resetAt)) },
  });
