/**
 * The set-up of the GitHub App as the server offers it: while it has no App, and, across the restart
 * with the new one, until GitHub has been heard.
 *
 *   open -> created (the server starts anew with the App) -> heard -> closed
 */
import type { Config } from '../basics/config/index.ts';
import { type Logger, messageOf } from '../basics/index.ts';
import { createSetupFlow, SetupProblem } from '../github/index.ts';
import type { CreatedApp, SetupPages } from '../web/index.ts';

export interface ServerSetup {
  /** Path of the page that begins it. Holds the token: for the console alone. */
  readonly path: string;
  readonly pages: SetupPages;
  /** Resolves when an App was created: the server is to start anew with it. */
  readonly created: Promise<void>;
  /** GitHub has delivered something. */
  heard(): void;
}

/** Milliseconds after the App was created during which its page is shown to whoever set it up. */
const shownMs = 3600_000;

export function createServerSetup(config: Pick<Config, 'dataDir' | 'github'>, log: Logger): ServerSetup {
  let onCreated = () => {};
  const created = new Promise<void>((resolve) => {
    onCreated = resolve;
  });
  const { host, protocol } = config.github;
  const flow = createSetupFlow({ dataDir: config.dataDir, host, protocol, log, onCreated });
  let app: { readonly name: string; readonly installUrl: string; readonly at: number } | undefined;
  let arrived = false;

  const describe = ({ name, installUrl }: NonNullable<typeof app>): CreatedApp => ({
    token: flow.token,
    name,
    installUrl,
    arrived,
  });
  return {
    path: `/setup?token=${flow.token}`,
    created,
    heard: () => {
      arrived = true;
    },
    pages: {
      admits: flow.admits,
      begin: (wishes) => {
        try {
          return flow.begin(wishes);
        } catch (error) {
          if (error instanceof SetupProblem) return { problem: error.message };
          throw error;
        }
      },
      finish: async (answer) => {
        try {
          const { name, page } = await flow.finish(answer);
          app = { name, installUrl: `${page}/installations/new`, at: Date.now() };
          return describe(app);
        } catch (error) {
          if (error instanceof SetupProblem) return { problem: error.message };
          log.error({ reason: messageOf(error) }, 'the App was created, but could not be stored');
          return {
            problem: `The App was created, but its credentials could not be stored: ${messageOf(error)}. Delete it on GitHub and begin again.`,
          };
        }
      },
      created: (token) => {
        if (!app || token !== flow.token || Date.now() - app.at > shownMs) return undefined;
        return describe(app);
      },
    },
  };
}
