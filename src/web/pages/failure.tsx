import type { AssetPaths } from '../assets.ts';
import type { ProblemError } from '../problem.ts';
import { Layout, renderPage } from './layout.tsx';

interface Failure {
  readonly error: ProblemError;
  readonly assets: AssetPaths;
  readonly requestId: string;
}

/** 404, 500 and 503 for people: what happened, and where to go from here. */
export function failurePage({ error, assets, requestId }: Failure): Promise<string> {
  const away = error.statusCode === 503;
  return renderPage(
    <Layout frame={{ assets }} title={error.message}>
      <section class="failure">
        <p class="status number">{error.statusCode}</p>
        <h1>{error.message}</h1>
        {error.detail ? <p>{error.detail}</p> : null}
        {error.statusCode === 404 ? (
          <p>
            It may have been renamed or removed, or it is private. <a href="/">All projects</a> are one step
            away.
          </p>
        ) : null}
        {away ? (
          <form method="get" data-retry-seconds="5">
            <p>Builds go on by themselves. This page tries again in a few seconds.</p>
            <p>
              <button type="submit" class="button">
                Try now
              </button>
            </p>
          </form>
        ) : null}
        {error.statusCode === 500 ? (
          <p>
            The operator finds it in the log under <code>{requestId}</code>.
          </p>
        ) : null}
      </section>
    </Layout>,
  );
}
