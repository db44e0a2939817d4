/**
 * Which substituters can be reached right now.
 *
 * Nix asks a substituter that does not answer five times with growing pauses, 4 s in all, and every
 * new connection to the store does so again. So whoever works without a network, or beside a cache
 * that is down, would wait for that with each build. One quick question a minute saves it.
 */
import type { Logger } from '../basics/index.ts';

const askTimeoutMs = 3_000;
/** How long an answer is believed. */
const answerMs = 60_000;

/** Errors of the way there. Any answer of the server, and any trouble with TLS, is left to Nix. */
const unreachableCodes = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Nix's curl goes through these, and our own question would not. */
const proxyVariables = ['http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'];

export interface SubstitutersOptions {
  /** As configured. */
  readonly substituters: readonly string[];
  /** Of the Nix processes. */
  readonly environment: Readonly<Record<string, string>>;
  readonly log: Logger;
}

/** Returns a function that tells the substituters worth asking, in their order. */
export function watchSubstituters(options: SubstitutersOptions): () => Promise<readonly string[]> {
  const { substituters, environment, log } = options;
  const proxied = proxyVariables.some((name) => (environment[name] ?? '') !== '');
  if (proxied) return async () => substituters;
  let asked = Number.NEGATIVE_INFINITY;
  let answer: Promise<readonly string[]> = Promise.resolve(substituters);
  let away = '';
  const ask = async (): Promise<readonly string[]> => {
    const reached = await Promise.all(substituters.map(isReachable));
    const gone = substituters.filter((_, at) => !reached[at]).join(' ');
    if (gone !== away) {
      away = gone;
      if (gone === '') log.info('all substituters can be reached');
      else log.warn({ substituters: gone }, 'substituters cannot be reached and are not asked for now');
    }
    return substituters.filter((_, at) => reached[at]);
  };
  return () => {
    if (performance.now() - asked > answerMs) {
      asked = performance.now();
      answer = ask();
    }
    return answer;
  };
}

/** Files, ssh stores and the like are Nix's business. */
async function isReachable(substituter: string): Promise<boolean> {
  if (!/^https?:\/\//.test(substituter) || !URL.canParse(substituter)) return true;
  const url = new URL(substituter);
  // Parameters are for Nix: `?priority=10`.
  url.search = '';
  url.pathname = `${url.pathname.replace(/\/$/, '')}/nix-cache-info`;
  try {
    const signal = AbortSignal.timeout(askTimeoutMs);
    const reply = await fetch(url, { method: 'HEAD', signal, redirect: 'manual' });
    await reply.body?.cancel();
    return true;
  } catch (error) {
    return !isUnreachable(error);
  }
}

function isUnreachable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === 'TimeoutError') return true;
  if ('code' in error && typeof error.code === 'string' && unreachableCodes.has(error.code)) return true;
  // Several addresses were tried: the errors of all of them.
  if (error instanceof AggregateError) return error.errors.every(isUnreachable);
  return error.cause !== undefined && isUnreachable(error.cause);
}
