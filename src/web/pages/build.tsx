import type { FC } from 'hono/jsx';
import { isFailure } from '../../builds/index.ts';
import { formatNumber, shortSha, shortStorePath } from '../format.ts';
import { buildLink, type ForgeLinks, jobLink, revisionLink } from '../links.ts';
import type { AttemptRow, BuildRow, InputRow } from '../read/builds.ts';
import type { Evidence } from '../read/evidence.ts';
import type { BuilderRow } from '../read/machines.ts';
import type { WantedBy } from '../read/wanted-by.ts';
import { buildFace, jobFace } from '../words.ts';
import { Attempts, Fact, Waiting } from './build-parts.tsx';
import { Cause, causeInSentence, ownMessage } from './cause.tsx';
import { Crumbs, type Frame, Layout, renderPage } from './layout.tsx';
import { Log, type LogView } from './log-view.tsx';
import { Ago, AttributeName, Copy, Duration, Mark, Word } from './parts.tsx';

export interface BuildPage {
  readonly frame: Frame;
  readonly build: BuildRow;
  readonly attempts: readonly AttemptRow[];
  readonly inputs: readonly InputRow[];
  readonly builders: readonly BuilderRow[];
  readonly evidence: Evidence | undefined;
  readonly wanted: readonly WantedBy[];
  /** More attributes want it than are listed. */
  readonly more: boolean;
  readonly log: LogView | undefined;
  /** Since when somebody keeps its results. */
  readonly keptAt: Date | undefined;
  readonly forge: ForgeLinks;
  readonly now: Date;
}

/** One derivation's build, whatever attributes it is for: many are inputs and no attribute of anything. */
export function buildPage(page: BuildPage): Promise<string> {
  const { build, now } = page;
  const face = buildFace(build.state);
  const message = isFailure(build.state) ? ownMessage(build) : '';
  return renderPage(
    <Layout frame={page.frame} title={`${build.name} · Build ${build.id}`}>
      <Crumbs crumbs={[{ label: 'Queue', href: '/queue' }]} />
      <div id="state" data-live data-state={build.state}>
        <div class="heading">
          <h1 class="mono">
            <Mark face={face} large />
            <span class="attribute">{build.name}</span>
          </h1>
        </div>
        <p class="sentence">
          <Word face={face} />
          <Sentence page={page} />
        </p>
        {message === '' ? null : <pre class="message">{message}</pre>}
        {page.evidence ? <Cause view={{ evidence: page.evidence, forge: page.forge, now }} /> : null}
        {build.state === 'queued' || build.state === 'blocked' ? <Waiting of={page} /> : null}
      </div>
      <div class="columns">
        <div class="wide">{page.log ? <Log view={page.log} /> : <NoLog build={build} />}</div>
        <aside id="about" data-live>
          <About page={page} />
        </aside>
      </div>
    </Layout>,
  );
}

const Sentence: FC<{ page: BuildPage }> = ({ page: { build, attempts, now } }) => {
  if (build.state === 'dependency-failed') {
    if (build.culprit_build_id === null) return <>: something it needs did not build.</>;
    return (
      <>
        {': '}
        <a href={buildLink(build.culprit_build_id)}>
          <code>{build.culprit_name}</code>
        </a>
        , which this needs, did not build.
      </>
    );
  }
  if (build.started_at === null) return null;
  const on = attempts[0] ? ` on ${attempts[0].builder}` : '';
  return (
    <>
      {isFailure(build.state) ? causeInSentence(build.message) : ''}
      {build.finished_at === null ? ' for ' : ' in '}
      <Duration from={build.started_at} to={build.finished_at} now={now} />
      {on}
    </>
  );
};

const NoLog: FC<{ build: BuildRow }> = ({ build }) => (
  <section class="log-view">
    <p class="none">
      {build.finished_at === null ? 'No log yet: it has not started.' : 'No log: it was not started.'}
    </p>
  </section>
);

const About: FC<{ page: BuildPage }> = ({ page }) => {
  const { build, attempts, wanted, keptAt, now } = page;
  return (
    <>
      <dl>
        <Fact term="Build">{build.id}</Fact>
        <Fact term="Derivation">
          <Copy text={build.drv_path} shown={shortStorePath(build.drv_path)} />
        </Fact>
        <Fact term="System">{[build.system, ...build.required_features].join(', ')}</Fact>
        {keptAt ? (
          <Fact term="Kept">
            <Ago date={keptAt} now={now} />, until it is let go
          </Fact>
        ) : null}
      </dl>
      {attempts.length > 0 ? <Attempts of={{ attempts, shown: page.log?.attempt.id, now }} /> : null}
      {wanted.length > 0 ? (
        <>
          <h3>Wanted by</h3>
          <ul class="wanted">
            {wanted.map((job) => (
              <li>
                <Mark face={jobFace(job)} silent />
                <div>
                  <a href={jobLink(job)}>
                    <AttributeName path={job.path} />
                  </a>
                  <p>
                    {job.owner}/{job.project}{' '}
                    <a class="quiet" href={revisionLink(job)} title={job.title}>
                      {shortSha(job.sha)}
                    </a>
                  </p>
                </div>
              </li>
            ))}
            {page.more ? <li>The newest {formatNumber(wanted.length)} of more</li> : null}
          </ul>
        </>
      ) : null}
    </>
  );
};
