/** What must never be in a log that people read. */
import type { Config } from '../basics/config/index.ts';
import type { GitHubApp } from '../github/index.ts';
import { type Secrets, secretsOf } from '../logs/index.ts';

/** Gives the search for all secrets that this process knows now. Tokens of agents are known to nobody here. */
export function serverSecrets(
  { github, database }: Pick<Config, 'github' | 'database'>,
  app: Pick<GitHubApp, 'tokensInForce'> | undefined,
): () => Secrets {
  // Not with `new URL`: addresses of sockets have no host, which it does not take.
  const password = decodeURIComponent(/^\w+:\/\/[^/?@]*?:([^/?@]*)@/.exec(database.url ?? '')?.[1] ?? '');
  const lasting = [github.privateKey ?? '', github.webhookSecret ?? '', password];
  let tokens: readonly string[] = [];
  let secrets = secretsOf(lasting);
  return () => {
    const now = app?.tokensInForce() ?? [];
    if (now !== tokens) {
      if (now.length > 0 || tokens.length > 0) secrets = secretsOf([...lasting, ...now]);
      tokens = now;
    }
    return secrets;
  };
}
