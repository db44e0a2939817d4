/** Requests to a binary cache, tried again while trying again may help. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, OperatorError } from '../../basics/index.ts';

export interface CacheRequests {
  /** Performs a request until it is answered with something else than trouble of the server. */
  send(path: string, request?: CacheRequest): Promise<Response>;
  /** The error for an answer that is neither what was asked for nor "not here". */
  unexpected(response: Response, what: string): Promise<OperatorError>;
  /** The pause before a try; false when there have been enough. */
  again(tries: number): Promise<boolean>;
}

export interface CacheRequest {
  readonly method?: 'GET' | 'HEAD' | 'PUT';
  /** A body that can be read once only is sent once only. */
  readonly body?: Uint8Array<ArrayBuffer> | string | AsyncIterable<Buffer>;
}

export interface CacheRequestsOptions {
  readonly url: string;
  readonly token: string | undefined;
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal | undefined;
  /** Tries of one request; the pauses between five add up to some 4 s. */
  readonly tries: number;
}

/** Milliseconds of the first pause; each is about twice the one before, up to the longest. */
const pause = { first: 250, longest: 10_000 } as const;

export function createCacheRequests(options: CacheRequestsOptions): CacheRequests {
  const base = new URL(options.url.replace(/\/*$/, '/'));
  const token = options.token ?? decodeURIComponent(base.password || base.username);
  base.username = '';
  base.password = '';
  const shown = base.href.replace(/\/$/, '');

  const again = async (tries: number) => {
    if (tries >= options.tries) return false;
    const longest = Math.min(pause.first * 2 ** (tries - 1), pause.longest);
    // Clients that lost the same server must not come back all at once.
    await sleep(longest * (0.5 + Math.random() / 2), undefined, options.signal && { signal: options.signal });
    return true;
  };

  const once = (path: string, { method = 'GET', body }: CacheRequest): Promise<Response> => {
    const url = new URL(path, base);
    // A cache may keep its NARs somewhere else; the token is not for there.
    const known = token !== '' && url.origin === base.origin;
    return options.fetch(url, {
      method,
      ...(known && { headers: { authorization: `Bearer ${token}` } }),
      ...(body !== undefined && { body, duplex: 'half' }),
      ...(options.signal && { signal: options.signal }),
    });
  };

  return {
    again,
    async send(path, request = {}) {
      const { body } = request;
      const repeatable = body === undefined || typeof body === 'string' || body instanceof Uint8Array;
      for (let tries = 1; ; tries++) {
        let trouble: unknown;
        try {
          const response = await once(path, request);
          if (!isTrouble(response.status) || !repeatable) return response;
          await response.body?.cancel();
          trouble = new Error(`it answered ${response.status} ${response.statusText}`);
        } catch (error) {
          options.signal?.throwIfAborted();
          trouble = error;
        }
        if (repeatable && (await again(tries))) continue;
        throw new OperatorError({
          code: 'cache-unreachable',
          message: `The binary cache ${shown} cannot be reached: ${reasonOf(trouble)}`,
          hint: 'Check that the address is right and that its server runs.',
          cause: trouble,
        });
      }
    },
    async unexpected(response, what) {
      const said = (await response.text().catch(() => '')).trim().slice(0, 500);
      const refused = response.status === 401 || response.status === 403;
      return new OperatorError({
        code: refused ? 'cache-refused' : 'cache-error',
        message: `The binary cache ${shown} answered ${response.status} to ${what}${said && `: ${said}`}`,
        ...(refused && { hint: 'Check the token, and that it was not revoked.' }),
      });
    },
  };
}

/** Worth another try: the server is starting, stopping, or out of breath. */
function isTrouble(status: number): boolean {
  return status >= 500 || status === 429;
}

/** fetch hides what happened behind "fetch failed". */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error) || error.cause === undefined) return messageOf(error);
  return messageOf(error.cause) || messageOf(error);
}
