/** Setting up the GitHub App: begin, send to GitHub, done. Each works without JavaScript. */
import type { FC } from 'hono/jsx';
import type { StateFace } from '../words.ts';
import { type Frame, Layout, renderPage } from './layout.tsx';
import { Banner, Mark } from './parts.tsx';

interface SetupPage {
  readonly frame: Frame;
}

const done: StateFace = { word: 'done', shape: 'tick', tone: 'success' };

const Steps: FC<{ now: 1 | 2 | 3 }> = ({ now }) => (
  <ol class="stages">
    {['Say where this server is', 'Create the App on GitHub', 'Install it'].map((step, index) => (
      <li aria-current={index + 1 === now ? 'step' : undefined}>
        {index + 1 < now ? <Mark face={done} silent /> : <span class="place-of-stage">{index + 1}</span>}
        <span>{step}</span>
      </li>
    ))}
  </ol>
);

/** Asks for what only people know. */
export function setupBegin(
  page: SetupPage & { readonly token: string; readonly publicUrl: string },
): Promise<string> {
  return renderPage(
    <Layout frame={page.frame} title="Set up">
      <h1>Connect this server to GitHub</h1>
      <Steps now={1} />
      <p class="prose">
        Ringmaster is a GitHub App of your own. GitHub makes it for you from what follows, and hands its key
        to this server alone.
      </p>
      <form method="post" action="/setup" class="setup">
        <input type="hidden" name="token" value={page.token} />
        <label>
          <span>Address of this server, as GitHub reaches it</span>
          <input type="url" name="public_url" value={page.publicUrl} required maxlength={500} />
          <small>
            GitHub sends every push there. An address that only this machine knows will not do for github.com.
          </small>
        </label>
        <label>
          <span>Organization that is to own the App</span>
          <input type="text" name="organization" maxlength={39} placeholder="your own account" />
          <small>Leave it empty to own it yourself.</small>
        </label>
        <button type="submit">Go on</button>
      </form>
    </Layout>,
  );
}

/** Carries the manifest to GitHub, which takes it only from a browser. */
export function setupSend(
  page: SetupPage & { readonly action: string; readonly manifest: string },
): Promise<string> {
  return renderPage(
    <Layout frame={page.frame} title="Set up">
      <h1>Connect this server to GitHub</h1>
      <Steps now={2} />
      <p class="prose">
        On the next page GitHub shows the App’s name, which you may change, and asks you to create it.
      </p>
      <p class="prose">
        It may write check runs, commit statuses and comments on pull requests, and read code, pull requests
        and merge queues. Nothing else.
      </p>
      <p class="prose">
        With the permission <em>Contents: Read and write</em>, which you can give it later in the App’s
        settings on GitHub, it can also commit the right hash of a download when somebody presses Apply hash.
      </p>
      <form method="post" action={page.action} class="setup">
        <input type="hidden" name="manifest" value={page.manifest} />
        <button type="submit">Create the App on GitHub</button>
      </form>
    </Layout>,
  );
}

/** The App is there: install it, and see that GitHub finds the way here. */
export function setupDone(
  page: SetupPage & {
    readonly token: string;
    readonly name: string;
    readonly installUrl: string;
    readonly arrived: boolean;
  },
): Promise<string> {
  const again = `/setup?${new URLSearchParams({ token: page.token }).toString()}`;
  return renderPage(
    <Layout frame={{ ...page.frame, ...(page.arrived ? {} : { again }) }} title="Set up">
      <h1>{page.arrived ? `${page.name} is connected` : `${page.name} is created`}</h1>
      <Steps now={3} />
      <p>
        <a class="button" href={page.installUrl}>
          Install it on your repositories
        </a>
      </p>
      {page.arrived ? (
        <Banner tone="muted" title="GitHub’s messages arrive.">
          The set-up is complete, and these pages close. <a href="/">To the projects</a>
        </Banner>
      ) : (
        <Banner tone="attention" title="Waiting for GitHub’s first message.">
          It comes when the App is created or installed, and this page tells. If it does not come, GitHub does
          not reach this server: the App’s settings, Advanced, Recent deliveries tell why.{' '}
          <a href={again}>Look again</a>
        </Banner>
      )}
    </Layout>,
  );
}

export function setupProblem(
  page: SetupPage & { readonly problem: string; readonly token?: string },
): Promise<string> {
  return renderPage(
    <Layout frame={page.frame} title="Set up">
      <h1>That did not work</h1>
      <Banner tone="danger" title={page.problem} />
      {page.token === undefined ? null : (
        <p>
          <a href={`/setup?${new URLSearchParams({ token: page.token }).toString()}`}>Back</a>
        </p>
      )}
    </Layout>,
  );
}
