import type { Child, FC } from 'hono/jsx';
import { isFailure } from '../../builds/index.ts';
import { formatAttributePath } from '../../evaluations/index.ts';
import { shortSha } from '../format.ts';
import { buildLink, jobLink, revisionLink } from '../links.ts';
import type { JobRow } from '../read/jobs.ts';
import { jobFace } from '../words.ts';
import { Waiting } from './build-parts.tsx';
import { Cause, causeInSentence, ownMessage } from './cause.tsx';
import { EvaluationError } from './evaluation-errors.tsx';
import { About } from './job-about.tsx';
import type { JobPage } from './job-page.ts';
import { Crumbs, Layout, renderPage } from './layout.tsx';
import { Log } from './log-view.tsx';
import { AttributeName, Banner, Duration, Mark, Word } from './parts.tsx';
import { projectCrumbs } from './project.tsx';

/** One attribute of one revision: state and cause in a sentence, then the log. */
export function jobPage(page: JobPage): Promise<string> {
  const { job, line, build, project } = page;
  const name = formatAttributePath(job.path);
  const message = build && job.job_group !== 'good' ? ownMessage(build) : '';
  return renderPage(
    <Layout frame={page.frame} title={`${name} · ${line.owner}/${line.project}`}>
      <Crumbs
        crumbs={[
          ...projectCrumbs(project),
          {
            label: line.title ? `${shortSha(line.sha)} ${line.title}` : shortSha(line.sha),
            href: revisionLink(line),
          },
        ]}
      />
      <div id="state" data-live data-state={job.state}>
        <div class="heading">
          <h1 class="mono">
            <Mark face={jobFace(job)} large />
            <AttributeName path={job.path} />
          </h1>
        </div>
        <p class="sentence">
          <Word face={jobFace(job)} />
          <Sentence page={page} />
        </p>
        <KnownFailure page={page} />
        {job.error === null ? null : <EvaluationError job={job} line={line} forge={page.forge} />}
        {message === '' ? null : (
          <pre class={job.job_group === 'bad' ? 'message' : 'message calm'}>{message}</pre>
        )}
        {page.evidence ? (
          <Cause view={{ evidence: page.evidence, commit: line, forge: page.forge, now: page.now }} />
        ) : null}
        {job.state === 'queued' || job.state === 'blocked' ? <Waiting of={page} /> : null}
      </div>
      <div class="columns">
        <div class="wide">
          {page.log ? <Log view={page.log} /> : null}
          {!page.log && job.error === null ? <NoLog job={job} /> : null}
        </div>
        <aside id="about" data-live>
          <About page={page} />
        </aside>
      </div>
    </Layout>,
  );
}

/** What follows the state's word, so that both make one sentence. */
const Sentence: FC<{ page: JobPage }> = ({ page }) => {
  const { job, build, attempts, now } = page;
  const attempt = attempts[0];
  const on = attempt ? ` on ${attempt.builder}` : '';
  switch (job.state) {
    case 'evaluation-error':
      return <>: Nix could not evaluate this attribute.</>;
    case 'cached':
      return <>: its outputs were there already, so nothing was built.</>;
    case 'blocked':
      return <> until what it needs is built.</>;
    case 'queued':
      return <> for a builder.</>;
    case 'building':
      return (
        <>
          {' for '}
          <Duration from={build?.started_at ?? null} to={null} now={now} />
          {on}
        </>
      );
    case 'dependency-failed':
      return build?.culprit_name ? (
        <>
          {': '}
          <OfBuild id={build.culprit_build_id} page={page}>
            <code>{build.culprit_name}</code>
          </OfBuild>
          , which this needs, did not build.
        </>
      ) : (
        <>: something it needs did not build.</>
      );
    case 'cancelled':
      return <> before its end.</>;
    default:
      return build?.started_at ? (
        <>
          {isFailure(job.state) ? causeInSentence(build.message) : ''}
          {' in '}
          <Duration from={build.started_at} to={build.finished_at} now={now} />
          {on}
        </>
      ) : null;
  }
};

/** A link to another build: to the attribute that it is, where it is one. */
const OfBuild: FC<{ id: number | null; page: JobPage; children?: Child }> = ({ id, page, children }) => {
  const place = id === null ? undefined : page.places.get(id);
  if (id === null) return children;
  return <a href={place ? jobLink(place) : buildLink(id)}>{children}</a>;
};

const KnownFailure: FC<{ page: JobPage }> = ({ page }) => {
  const id = page.build?.cached_failure_of ?? null;
  if (id === null) return null;
  // Only a private repository may have it: visitors are not led to what is not there for them.
  const visible = page.places.has(id) || page.evidence?.build.id === id;
  return (
    <Banner tone="muted" title="Not tried again">
      This derivation is known to fail
      {visible ? (
        <>
          , from{' '}
          <OfBuild id={id} page={page}>
            build {id}
          </OfBuild>
        </>
      ) : null}
      . A comment of one line, <code>/ci rerun failed</code>, has it tried again.
    </Banner>
  );
};

const NoLog: FC<{ job: JobRow }> = ({ job }) => (
  <section class="log-view">
    <p class="none">{noLogWords(job)}</p>
  </section>
);

function noLogWords(job: JobRow): string {
  if (job.state === 'cached') return 'No log: it was not built here.';
  if (job.cached_failure_of !== null) return 'No log: it was not tried again.';
  return job.finished_at === null ? 'No log yet: it has not started.' : 'No log: it was not started.';
}
