import type { FC } from 'hono/jsx';
import type { EvaluationChanges } from '../../evaluations/index.ts';
import { headline } from '../../reports/index.ts';
import { formatNumber } from '../format.ts';
import { type ForgeLinks, jobLink, pullRequestLink, revisionLink } from '../links.ts';
import type { ImportRow } from '../read/imports.ts';
import { type JobGroup, jobGroups, totalJobs } from '../read/job-counts.ts';
import type { JobRow } from '../read/jobs.ts';
import type { ProjectRow } from '../read/projects.ts';
import type { RevisionDetails } from '../read/revision-details.ts';
import type { RevisionLine } from '../read/revision-lines.ts';
import type { TroubledReport } from '../read/troubled-reports.ts';
import { groupFaces, groupWords, jobFace, revisionFace } from '../words.ts';
import { Changes } from './changes.tsx';
import { EvaluationErrors } from './evaluation-errors.tsx';
import { Imports } from './imports.tsx';
import { Crumbs, type Frame, Layout, renderPage } from './layout.tsx';
import { Ago, AttributeName, CountsBar, Duration, Empty, Mark, Sha, Word } from './parts.tsx';
import { projectCrumbs } from './project.tsx';
import { RevisionBanners, Troubled } from './revision-banners.tsx';
import { about } from './waiting.ts';

/** Jobs on one page. */
export const jobsPerPage = 200;
/** Evaluation errors that are printed whole at the top; all of them are in the list below. */
export const errorsShown = 20;

export interface RevisionPage {
  readonly frame: Frame;
  readonly project: ProjectRow;
  readonly line: RevisionLine;
  readonly forge: ForgeLinks;
  readonly errors: readonly JobRow[];
  readonly imports: readonly ImportRow[];
  /** The first few, and one more than are shown where there are more. */
  readonly troubled: readonly TroubledReport[];
  readonly jobs: readonly JobRow[];
  /** Against the base revision, once they are known. */
  readonly changes: EvaluationChanges | undefined;
  readonly details: RevisionDetails;
  /** Jobs that match the filter, on all pages. */
  readonly matching: number;
  readonly filter: { readonly query: string; readonly group: JobGroup | undefined; readonly page: number };
  readonly now: Date;
}

/** One revision: state first, what is wrong next, then every attribute. */
export function revisionPage(page: RevisionPage): Promise<string> {
  const { line, project, now } = page;
  const evaluation = line.evaluation;
  return renderPage(
    <Layout
      frame={page.frame}
      title={`${line.title || line.sha.slice(0, 9)} · ${line.owner}/${line.project}`}
    >
      <Crumbs crumbs={projectCrumbs(project)} />
      <div id="state" data-live>
        <div class="heading">
          <h1>
            <Mark face={revisionFace(line)} large />
            <span>{line.title || 'No message'}</span>
          </h1>
        </div>
        <p class="facts">
          <Word face={revisionFace(line)} />
          {evaluation?.started_at ? (
            <Duration from={evaluation.started_at} to={evaluation.finished_at} now={now} />
          ) : null}
          {page.details.remainingMs === undefined ? null : (
            <span title="From how long these builds took before; without those that no builder can take now">
              {about(page.details.remainingMs)} left
            </span>
          )}
          <Sha sha={line.sha} />
          <Sources line={line} />
          {line.author ? <span>{line.author}</span> : null}
          <Ago date={line.created_at} now={now} />
          <a href={page.forge.commit(line)} rel="noopener">
            GitHub
          </a>
        </p>
        <RevisionBanners line={line} details={page.details} now={now} />
        <Troubled reports={page.troubled} />
        <CountsBar counts={line.counts} />
      </div>
      <div id="changes" data-live>
        <Changes changes={page.changes} line={line} />
      </div>
      <EvaluationErrors page={page} />
      <Imports imports={page.imports} now={now} />
      {evaluation ? <Jobs page={page} /> : null}
    </Layout>,
  );
}

const Sources: FC<{ line: RevisionLine }> = ({ line }) => (
  <>
    {line.sources.slice(0, 4).map((source) =>
      source.kind !== 'pull-request' ? (
        <span class="branch">{source.kind === 'tag' ? `tag ${source.name}` : source.name}</span>
      ) : (
        <a class="reference number" href={pullRequestLink(line, source.name)} title={source.title}>
          #{source.name}
        </a>
      ),
    )}
  </>
);

const Jobs: FC<{ page: RevisionPage }> = ({ page }) => {
  const { line, filter, matching, jobs } = page;
  const total = totalJobs(line.counts);
  const pages = Math.max(1, Math.ceil(matching / jobsPerPage));
  return (
    <section>
      <h2 class="unseen">Attributes</h2>
      <div class="filter">
        <nav id="groups" aria-label="Filter by state" data-live>
          {total === 0 ? null : <GroupLink page={page} group={undefined} number={total} />}
          {jobGroups.map((group) =>
            line.counts[group] > 0 || filter.group === group ? (
              <GroupLink page={page} group={group} number={line.counts[group]} />
            ) : null,
          )}
        </nav>
        <form method="get" data-filter>
          {filter.group ? <input type="hidden" name="group" value={filter.group} /> : null}
          <input
            type="search"
            name="q"
            value={filter.query}
            placeholder="Filter attributes"
            aria-label="Filter attributes"
            maxlength={200}
          />
        </form>
      </div>
      <div id="jobs" data-live>
        {jobs.length === 0 ? (
          <NoJobs page={page} />
        ) : (
          <ul class="rows jobs">
            {jobs.map((job) => (
              <JobLine job={job} line={line} now={page.now} />
            ))}
          </ul>
        )}
        {pages > 1 ? (
          <nav class="pages" aria-label="Pages">
            <PageLink page={page} to={filter.page - 1} label="Previous" possible={filter.page > 1} />
            <span class="number">
              {formatNumber((filter.page - 1) * jobsPerPage + 1)} to{' '}
              {formatNumber(Math.min(filter.page * jobsPerPage, matching))} of {formatNumber(matching)}
            </span>
            <PageLink page={page} to={filter.page + 1} label="Next" possible={filter.page < pages} />
          </nav>
        ) : null}
      </div>
    </section>
  );
};

function filterLink(page: RevisionPage, changes: { group?: JobGroup | undefined; page?: number }): string {
  const group = 'group' in changes ? changes.group : page.filter.group;
  const query = new URLSearchParams();
  if (group) query.set('group', group);
  if (page.filter.query) query.set('q', page.filter.query);
  if (changes.page && changes.page > 1) query.set('page', String(changes.page));
  return query.size > 0 ? `?${query}` : revisionLink(page.line);
}

const GroupLink: FC<{ page: RevisionPage; group: JobGroup | undefined; number: number }> = ({
  page,
  group,
  number,
}) => (
  <a
    class={group ? groupFaces[group].tone : ''}
    href={filterLink(page, { group })}
    aria-current={page.filter.group === group ? 'true' : undefined}
  >
    {group ? <Mark face={groupFaces[group]} /> : null}
    {group ? groupWords[group] : 'all'} <span class="number">{formatNumber(number)}</span>
  </a>
);

const PageLink: FC<{ page: RevisionPage; to: number; label: string; possible: boolean }> = ({
  page,
  to,
  label,
  possible,
}) => (possible ? <a href={filterLink(page, { page: to })}>{label}</a> : <span class="none">{label}</span>);

/** The rest of the sentence that a job's word begins. */
export function causeOf(job: JobRow): string {
  if (job.state === 'evaluation-error') return cutLine(headline(job.error ?? ''));
  if (job.state === 'dependency-failed') return job.culprit_name ?? '';
  if (job.state === 'building') return job.builder ? `on ${job.builder}` : '';
  if (job.state === 'succeeded' || job.state === 'cached') return '';
  const cause = firstLine(job.message ?? '');
  if (job.cached_failure_of === null) return cause;
  return `known from build ${job.cached_failure_of}, not tried again${cause ? `: ${cause}` : ''}`;
}

/** Nix names the derivation in every message; beside its attribute that says nothing new. */
const preamble = /^(?:error:\s*)?(?:builder for '[^']*' failed(?: due to| with)?\s*)?/;

function firstLine(text: string): string {
  return cutLine(text.replace(preamble, '').split('\n', 1)[0] ?? '');
}

function cutLine(line: string): string {
  return line.length > 160 ? `${line.slice(0, 159)}…` : line;
}

const JobLine: FC<{ job: JobRow; line: RevisionLine; now: Date }> = ({ job, line, now }) => {
  const face = jobFace(job);
  const cause = causeOf(job);
  return (
    <li id={`job-${job.id}`} class="row job-line">
      <Mark face={face} />
      <a class="name" href={jobLink({ ...line, path: job.path })}>
        <AttributeName path={job.path} />
      </a>
      <span class="sub">
        <Word face={face} />
        {cause ? <span class="cause">{cause}</span> : null}
      </span>
      <span class="system">{job.system}</span>
      <span class="activity">
        <Duration from={job.started_at} to={job.finished_at} now={now} />
      </span>
    </li>
  );
};

const NoJobs: FC<{ page: RevisionPage }> = ({ page }) => {
  const { line, filter } = page;
  if (filter.query || filter.group) {
    return (
      <Empty title="No attribute matches">
        <p>
          <a href={revisionLink(line)}>Show all {formatNumber(totalJobs(line.counts))}</a>
        </p>
      </Empty>
    );
  }
  const state = line.evaluation?.state;
  if (state === 'queued' || state === 'evaluating') {
    return (
      <Empty title={state === 'queued' ? 'Waiting to be evaluated' : 'Evaluating'}>
        <p>Attributes appear here as they are found.</p>
      </Empty>
    );
  }
  return (
    <Empty title="No attributes">
      <p>
        {line.evaluation?.file ? (
          <>
            <code>{line.evaluation.file}</code> was evaluated and holds no derivation.
          </>
        ) : (
          'Nothing was evaluated.'
        )}
      </p>
    </Empty>
  );
};
