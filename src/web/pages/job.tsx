import type { Child, FC } from 'hono/jsx';
import { formatAttributePath } from '../../evaluations/index.ts';
import { formatDuration, shortSha, shortStorePath } from '../format.ts';
import { type ForgeLinks, jobLink, revisionLink } from '../links.ts';
import type { AttemptRow, BuildRow, InputRow } from '../read/builds.ts';
import type { JobHistoryRow, JobRow } from '../read/jobs.ts';
import type { ProjectRow } from '../read/projects.ts';
import type { RevisionLine } from '../read/revision-lines.ts';
import { buildFace, jobFace } from '../words.ts';
import { Crumbs, type Frame, Layout, renderPage } from './layout.tsx';
import { Log, type LogView } from './log-view.tsx';
import { Ago, AttributeName, Banner, Copy, Duration, Mark, State } from './parts.tsx';
import { projectCrumbs } from './project.tsx';
import { EvaluationError } from './revision.tsx';

export interface JobPage {
  readonly frame: Frame;
  readonly project: ProjectRow;
  readonly line: RevisionLine;
  readonly job: JobRow;
  readonly build: BuildRow | undefined;
  readonly attempts: readonly AttemptRow[];
  readonly inputs: readonly InputRow[];
  readonly history: readonly JobHistoryRow[];
  readonly log: LogView | undefined;
  readonly forge: ForgeLinks;
  readonly now: Date;
}

/** One attribute of one revision: state and cause in a sentence, then the log. */
export function jobPage(page: JobPage): Promise<string> {
  const { job, line, build, project } = page;
  const name = formatAttributePath(job.path);
  return renderPage(
    <Layout frame={page.frame} title={`${name} · ${line.owner}/${line.project}`}>
      <Crumbs
        crumbs={[
          ...projectCrumbs(project),
          { label: line.title ? `${shortSha(line.sha)} ${line.title}` : shortSha(line.sha), href: revisionLink(line) },
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
          <State face={jobFace(job)} /> <Sentence page={page} />
        </p>
        {build?.message && job.job_group !== 'good' ? <pre class="message">{build.message.trim()}</pre> : null}
        {job.state === 'queued' || job.state === 'blocked' ? <Waiting inputs={page.inputs} build={build} /> : null}
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
const Sentence: FC<{ page: JobPage }> = ({ page: { job, build, attempts, now } }) => {
  const attempt = attempts[0];
  const on = attempt ? ` on ${attempt.builder}` : '';
  switch (job.state) {
    case 'evaluation-error':
      return <>Nix could not evaluate this attribute.</>;
    case 'cached':
      return <>Its outputs were there already; nothing was built.</>;
    case 'blocked':
      return <>Waits for its inputs.</>;
    case 'queued':
      return <>Waits for a builder.</>;
    case 'building':
      return (
        <>
          for <Duration from={build?.started_at ?? null} to={null} now={now} />
          {on}
        </>
      );
    case 'dependency-failed':
      return (
        <>
          {build?.culprit_name ? (
            <>
              <code>{build.culprit_name}</code> failed, which this needs.
            </>
          ) : (
            'Something it needs failed.'
          )}
        </>
      );
    case 'cancelled':
      return <>It was stopped before its end.</>;
    default:
      return (
        <>
          in <Duration from={build?.started_at ?? null} to={build?.finished_at ?? null} now={now} />
          {on}
        </>
      );
  }
};

const Waiting: FC<{ inputs: readonly InputRow[]; build: BuildRow | undefined }> = ({ inputs, build }) => {
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
      It needs {build.system}
      {build.required_features.length > 0 ? ` with ${build.required_features.join(', ')}` : ''}.{' '}
      <a href="/queue">Queue</a>
    </Banner>
  );
};

const NoLog: FC<{ job: JobRow }> = ({ job }) => (
  <section class="log-view">
    <p class="none">
      {job.state === 'cached' ? 'No log: it was not built here.' : 'No log yet: it has not started.'}
    </p>
  </section>
);

const About: FC<{ page: JobPage }> = ({ page }) => {
  const { job, line, attempts, history, now } = page;
  const fragment = job.path.map((name) => formatAttributePath([name])).join('.');
  const outputs = Object.entries(job.outputs ?? {});
  return (
    <>
      <dl>
        <Fact term="Derivation">
          {job.drv_path ? <Copy text={job.drv_path} shown={shortStorePath(job.drv_path)} /> : 'none'}
        </Fact>
        {job.system ? <Fact term="System">{job.system}</Fact> : null}
        {outputs.length > 0 ? (
          <Fact term={outputs.length === 1 ? 'Output' : 'Outputs'}>
            {outputs.map(([output, path]) => (
              <div>
                {outputs.length > 1 ? <span class="tag">{output}</span> : null}
                {path === null ? 'known when built' : <Copy text={path} shown={shortStorePath(path)} />}
              </div>
            ))}
          </Fact>
        ) : null}
        {job.mark === 'regular' ? null : <Fact term="Mark">{job.mark}</Fact>}
        <Fact term="Reproduce">
          <Copy text={reproduction(page, fragment)} />
        </Fact>
      </dl>
      {attempts.length > 0 ? (
        <>
          <h3>{attempts.length === 1 ? 'Attempt' : 'Attempts'}</h3>
          <ul class="attempts">
            {attempts.map((attempt) => (
              <li>
                <a href={`?attempt=${attempt.id}`} aria-current={page.log?.attempt.id === attempt.id ? 'true' : undefined}>
                  {attempt.builder}
                </a>{' '}
                <span>{attempt.state === 'ended' ? attempt.status : attempt.state}</span>{' '}
                <Duration from={attempt.started_at} to={attempt.finished_at} now={now} />
              </li>
            ))}
          </ul>
        </>
      ) : null}
      {history.length > 1 ? (
        <>
          <h3>History of this attribute</h3>
          <ul class="history">
            {history.map((row) => (
              <li aria-current={row.id === job.id ? 'true' : undefined}>
                <Mark face={jobFace(row)} silent />
                <a href={jobLink({ ...line, sha: row.sha, path: row.path })} title={row.title}>
                  {row.title || shortSha(row.sha)}
                </a>
                <span class="number">
                  {row.started_at && row.finished_at
                    ? formatDuration(row.finished_at.getTime() - row.started_at.getTime())
                    : ''}
                </span>
                <Ago date={row.queued_at} now={now} />
              </li>
            ))}
          </ul>
        </>
      ) : null}
    </>
  );
};

const Fact: FC<{ term: string; children?: Child }> = ({ term, children }) => (
  <>
    <dt>{term}</dt>
    <dd>{children}</dd>
  </>
);

/** A line for a checkout of this commit. Everything in it is quoted for a POSIX shell. */
function reproduction({ line, job }: JobPage, attribute: string): string {
  const file = line.evaluation?.file ?? 'ci.nix';
  const select = job.path.length === 0 ? '' : ` -A ${quote(attribute)}`;
  return `nix-build ${quote(file)}${select}`;
}

function quote(word: string): string {
  return /^[\w./@%+=:-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
