/** Errors of the API after RFC 9457, application/problem+json. */

export interface Problem {
  /** A path below the public URL that names the kind of problem; stable. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail?: string;
  readonly requestId?: string;
}

/** An error with the answer it should get. */
export class ProblemError extends Error {
  readonly statusCode: number;
  readonly code: string;
  readonly detail: string | undefined;

  constructor(statusCode: number, code: string, title: string, detail?: string) {
    super(title);
    this.name = 'ProblemError';
    this.statusCode = statusCode;
    this.code = code;
    this.detail = detail;
  }
}

/** Shorthand for throwing. */
export function problem(status: number, code: string, title: string, detail?: string): ProblemError {
  return new ProblemError(status, code, title, detail);
}

/** What is answered for anything that does not exist, or that the visitor must not know of. */
export function notFound(what: string): ProblemError {
  return problem(404, 'not-found', `There is no such ${what}.`);
}

/** The body of an answer. */
export function problemBody(error: ProblemError, requestId: string): Problem {
  return {
    type: `/api/v1/problems/${error.code}`,
    title: error.message,
    status: error.statusCode,
    code: error.code,
    ...(error.detail === undefined ? {} : { detail: error.detail }),
    requestId,
  };
}
