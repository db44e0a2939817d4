/** What the server is made of. */
import type { IncomingMessage } from 'node:http';
import type { BrowserReply, BrowserRequest } from './browser.ts';
import type { Changes } from './changes.ts';
import type { Faults } from './faults.ts';
import type { Call, Journal } from './journal.ts';
import type { RateLimiter } from './limits.ts';
import type { Route } from './router.ts';
import type { OtherReply, OtherRequest } from './server.ts';
import type { UserTokens } from './tokens.ts';
import type { Repository, World } from './world.ts';

export interface ServerParts {
  readonly world: World;
  readonly routes: readonly Route[];
  readonly journal: Journal;
  readonly faults: Faults;
  readonly limiter: RateLimiter;
  readonly changes: Changes;
  readonly people: UserTokens;
  /** Somebody pushed over HTTP. */
  readonly onPushed: (repository: Repository) => Promise<unknown>;
  readonly visit: (request: BrowserRequest) => BrowserReply | undefined;
  /** Everything else: `_double` and the pages. Returns status, content type, and text. */
  readonly other: (request: OtherRequest) => Promise<OtherReply>;
}

/** Cuts the connection without a word. */
export function drop(call: Call, request: IncomingMessage): void {
  if (call.status !== 'hung') call.status = 'dropped';
  request.socket.destroy();
}
