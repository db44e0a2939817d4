/** Every request the double received, in order. */

import { isoTime } from './json.ts';
import { compilePattern } from './pattern.ts';
import type { Clock } from './world.ts';

export interface CallAuth {
  readonly kind: 'anonymous' | 'jwt' | 'installation' | 'user' | 'admin' | 'invalid';
  readonly installationId?: number;
  /** The token's scope: repository names, or `all` of the installation. */
  readonly repositories?: readonly string[] | 'all';
  readonly permissions?: Readonly<Record<string, string>>;
}

export interface Call {
  readonly n: number;
  readonly time: string;
  readonly method: string;
  /** Without the `/api/v3` prefix and the query. */
  readonly path: string;
  readonly query: string;
  auth: CallAuth;
  body: unknown;
  /** `undefined` while it is being answered. */
  status: number | 'dropped' | 'hung' | undefined;
  /** GitHub's message, when the call was refused. */
  message?: string;
  /** Nobody taught the double this endpoint. */
  unexpected?: true;
  /** A completed check run went back to an unfinished state. */
  regression?: true;
  /** The injected fault that met it. */
  fault?: string;
  /** The limit that refused it. */
  limited?: 'primary' | 'secondary';
}

export interface Journal {
  readonly calls: readonly Call[];
  start(method: string, path: string, query: string): Call;
  /** Calls by method and path pattern, for example `('POST', '/repos/:owner/:repo/check-runs')`. */
  to(method: string, pattern: string | RegExp): readonly Call[];
  /** One line a call, newest last. */
  text(last?: number): string;
}

export function createJournal(clock: Clock): Journal {
  const calls: Call[] = [];
  return {
    calls,
    start: (method, path, query) => {
      const call: Call = {
        n: calls.length + 1,
        time: isoTime(clock()),
        method,
        path,
        query,
        auth: { kind: 'anonymous' },
        body: undefined,
        status: undefined,
      };
      calls.push(call);
      return call;
    },
    to: (method, pattern) => {
      const matches = typeof pattern === 'string' ? compilePattern(pattern).regex : pattern;
      return calls.filter((call) => call.method === method && matches.test(call.path));
    },
    text: (last = 40) => calls.slice(-last).map(line).join('\n'),
  };
}

function line(call: Call): string {
  const marks = [
    call.unexpected && 'UNEXPECTED',
    call.regression && 'REGRESSION',
    call.fault,
    call.limited && `${call.limited} limit`,
    call.message,
  ].filter((mark) => typeof mark === 'string');
  return `${call.n} ${call.method} ${call.path}${call.query} [${call.auth.kind}] -> ${call.status ?? 'pending'}${marks.length ? ` (${marks.join(', ')})` : ''}`;
}
