import type { FC } from 'hono/jsx';
import { type ForgeLinks, projectLink, pullRequestLink, revisionLink } from '../links.ts';
import type { ProjectRow } from '../read/projects.ts';
import type { RevisionLine, RevisionSource } from '../read/revision-lines.ts';
import { defaultBranchName, restOf, revisionFace } from '../words.ts';
import { Crumbs, type Frame, Layout, renderPage } from './layout.tsx';
import { Ago, Banner, Copy, Counts, CountsBar, Duration, Empty, Mark, Sha } from './parts.tsx';

export interface ProjectPage {
  readonly frame: Frame;
  readonly project: ProjectRow;
  readonly forge: ForgeLinks;
  /** Newest first, of the default branch. */
  readonly history: readonly RevisionLine[];
  readonly pullRequests: readonly RevisionLine[];
  readonly branches: readonly RevisionLine[];
  readonly tags: readonly RevisionLine[];
  readonly now: Date;
}

/** The default branch with its last results, pull requests, other branches, tags. */
export function projectPage(page: ProjectPage): Promise<string> {
  const { project, history, now } = page;
  const name = { owner: project.owner, project: project.name };
  const head = history[0];
  const rest = restOf(project);
  const others = page.branches.filter((line) => sourceOf(line, 'branch')?.name !== project.default_branch);
  return renderPage(
    <Layout frame={page.frame} title={`${project.owner}/${project.name}`}>
      <Crumbs crumbs={[{ label: 'Projects', href: '/' }]} />
      <div class="heading">
        <h1>
          <span>
            <span class="parents">{project.owner}/</span>
            {project.name}
          </span>
        </h1>
        <p class="aside">
          {project.private ? <span class="tag">private</span> : null}
          {rest ? <span class="tag">{rest}</span> : null}
          <a href={page.forge.repository(name)} rel="noopener">
            GitHub
          </a>
        </p>
      </div>
      <AtRest project={project} />
      <section id="default-branch" data-live>
        <h2>
          <span class="branch">{defaultBranchName(project)}</span>
          <Strip history={history} />
        </h2>
        {head ? (
          <ul class="rows">
            {history.slice(0, 5).map((line) => (
              <RevisionRow line={line} source={undefined} now={now} />
            ))}
          </ul>
        ) : rest ? (
          <p class="none">Nothing of it has been seen.</p>
        ) : (
          <Empty title={`Nothing of ${defaultBranchName(project)} has been seen yet`}>
            <p>
              Push a commit with a <code>ci.nix</code>, <code>nix/ci.nix</code>, <code>default.nix</code> or{' '}
              <code>flake.nix</code>.
            </p>
          </Empty>
        )}
      </section>
      <section id="pull-requests" data-live>
        <h2>Pull requests</h2>
        <Heads
          lines={page.pullRequests}
          kind="pull-request"
          now={now}
          none="No open pull request has been seen."
        />
      </section>
      <section id="branches" data-live>
        <h2>Other branches</h2>
        <Heads lines={others} kind="branch" now={now} none="No other branch has been pushed." />
      </section>
      {page.tags.length > 0 ? (
        <section id="tags" data-live>
          <h2>Tags</h2>
          <Heads lines={page.tags} kind="tag" now={now} none="" />
        </section>
      ) : null}
    </Layout>,
  );
}

/** Why nothing new appears here, and what helps. */
const AtRest: FC<{ project: ProjectRow }> = ({ project }) => {
  if (project.enabled) return null;
  if (project.paused_at === null) {
    return (
      <Banner tone="muted" title="The GitHub App may not see this repository any more.">
        What was found before stays here. To go on, give the App access to it in its installation on GitHub.
      </Banner>
    );
  }
  return (
    <Banner tone="attention" title="An operator has paused this project.">
      What is pushed is not evaluated, and GitHub is told nothing, until somebody runs{' '}
      <Copy text={`ringmaster project enable ${project.owner}/${project.name}`} />
    </Banner>
  );
};

const Heads: FC<{
  lines: readonly RevisionLine[];
  kind: RevisionSource['kind'];
  now: Date;
  none: string;
}> = ({ lines, kind, now, none }) =>
  lines.length === 0 ? (
    <p class="none">{none}</p>
  ) : (
    <ul class="rows">
      {lines.map((line) => (
        <RevisionRow line={line} source={sourceOf(line, kind)} now={now} />
      ))}
    </ul>
  );

/** The last results as shapes, oldest on the left as time runs. */
const Strip: FC<{ history: readonly RevisionLine[] }> = ({ history }) => (
  <span class="strip">
    {[...history].reverse().map((line) => (
      <a href={revisionLink(line)} title={`${revisionFace(line).word}: ${line.title}`}>
        <Mark face={revisionFace(line)} silent />
      </a>
    ))}
  </span>
);

function sourceOf(line: RevisionLine, kind: RevisionSource['kind']): RevisionSource | undefined {
  return line.sources.find((source) => source.kind === kind);
}

const RevisionRow: FC<{ line: RevisionLine; source: RevisionSource | undefined; now: Date }> = ({
  line,
  source,
  now,
}) => {
  const pull = source?.kind === 'pull-request';
  const title = (pull && source.title) || line.title || 'No message';
  return (
    <li id={`${source?.kind ?? 'revision'}-${line.id}-${source?.name ?? ''}`} class="row revision-line">
      <Mark face={revisionFace(line)} silent large />
      <div class="main">
        <a class="name" href={pull ? pullRequestLink(line, source.name) : revisionLink(line)}>
          {pull ? <span class="reference number">#{source.name} </span> : null}
          {source && !pull ? <span class="branch">{source.name}</span> : null}
          {source && !pull ? ' ' : null}
          {title}
        </a>
        <p class="sub">
          <span>{revisionFace(line).word}</span>
          <span>{line.author}</span>
          {pull && source.base_branch ? <span>into {source.base_branch}</span> : null}
        </p>
      </div>
      <div class="result">
        <Counts counts={line.counts} />
        <CountsBar counts={line.counts} />
      </div>
      <div class="activity">
        <Duration
          from={line.evaluation?.started_at ?? null}
          to={line.evaluation?.finished_at ?? null}
          now={now}
        />
      </div>
      <div class="when">
        <Sha sha={line.sha} />
        <Ago date={source?.seen_at ?? line.created_at} now={now} />
      </div>
    </li>
  );
};

/** Where a project's pages hang. */
export function projectCrumbs(project: ProjectRow): { label: string; href: string }[] {
  return [
    { label: 'Projects', href: '/' },
    {
      label: `${project.owner}/${project.name}`,
      href: projectLink({ owner: project.owner, project: project.name }),
    },
  ];
}
