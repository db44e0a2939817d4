import type { Child, FC } from 'hono/jsx';
import { formatAttributePath } from '../../evaluations/index.ts';
import { shortSha } from '../format.ts';
import { jobLink, revisionLink } from '../links.ts';
import type { BuildRow } from '../read/builds.ts';
import type { JobRow } from '../read/jobs.ts';
import { buildFace, jobFace } from '../words.ts';
import { EvaluationError } from './evaluation-errors.tsx';
import { About } from './job-about.tsx';
import type { JobPage } from './job-page.ts';
import { Crumbs, Layout, renderPage } from './layout.tsx';
import { Log } from './log-view.tsx';
import { AttributeName, Banner, Copy, Duration, Mark, State, Word } from './parts.tsx';
import { projectCrumbs } from './project.tsx';
import { waitingReason } from './waiting.ts';

/** One attribute of one revision: state and cause in a sentence, then the log. */
export function jobPage(page: JobPage): Promise<string> {
  const { job, line, build, project } = page;
  const name = formatAttributePath(job.path);
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
        {build?.message && job.job_group !== 'good' ? (
          <pre class={job.job_group === 'bad' ? 'message' : 'message calm'}>{build.message.trim()}</pre>
        ) : null}
        <Mismatch build={build} />
        {job.state === 'queued' || job.state === 'blocked' ? <Waiting page={page} /> : null}
      </div>
      <div class="columns">
        <div class="wide">
          {job.error === null ? null : <EvaluationError job={job} line={line} forge={page.forge} />}
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
          {' in '}
          <Duration from={build.started_at} to={build.finished_at} now={now} />
          {on}
        </>
      ) : null;
  }
};

const Waiting: FC<{ page: JobPage }> = ({ page: { inputs, build, builders, now } }) => {
  if (inputs.length > 0 && build) {
    const others = build.pending_inputs - inputs.length;
    return (
      <Banner tone="muted" title="Waiting for inputs">
        <ul class="inputs">
          {inputs.map((input) => (
            <li>
              <State face={buildFace(input.state)} /> <code>{input.name}</code>
            </li>
          ))}
          {others > 0 ? <li>and {others} more</li> : null}
        </ul>
      </Banner>
    );
  }
  if (!build) return null;
  return (
    <Banner tone="muted" title="Waiting for a builder">
      It {waitingReason(build, builders, now)}. <a href="/queue">Queue</a>
    </Banner>
  );
};

/** A link to the page of another build, where there is one. */
const OfBuild: FC<{ id: number | null; page: JobPage; children?: Child }> = ({ id, page, children }) => {
  const place = id === null ? undefined : page.places.get(id);
  return place ? <a href={jobLink(place)}>{children}</a> : children;
};

const KnownFailure: FC<{ page: JobPage }> = ({ page }) => {
  const id = page.build?.cached_failure_of ?? null;
  if (id === null) return null;
  return (
    <Banner tone="muted" title="Not tried again">
      This derivation is known to fail, from{' '}
      <OfBuild id={id} page={page}>
        build {id}
      </OfBuild>
      . A comment of one line, <code>/ci rerun failed</code>, has it tried again.
    </Banner>
  );
};

/** The hash that is to go into the file, ready to be copied. */
const Mismatch: FC<{ build: BuildRow | undefined }> = ({ build }) => {
  if (!build?.got_hash) return null;
  return (
    <dl class="hashes">
      <dt>specified</dt>
      <dd>{build.specified_hash ? <Copy text={build.specified_hash} /> : 'none'}</dd>
      <dt>got</dt>
      <dd>
        <Copy text={build.got_hash} />
      </dd>
    </dl>
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
