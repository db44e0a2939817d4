import type { FC } from 'hono/jsx';
import { countOf, formatNumber } from '../format.ts';
import { projectLink, revisionLink } from '../links.ts';
import type { SetupNotice } from '../options.ts';
import type { ProjectRow } from '../read/projects.ts';
import type { QueueTotals } from '../read/queue.ts';
import type { RevisionLine } from '../read/revision-lines.ts';
import { defaultBranchName, restOf, revisionFace, type StateFace } from '../words.ts';
import { type Frame, Layout, renderPage } from './layout.tsx';
import { Ago, Banner, Counts, CountsBar, Empty, Mark, Sha } from './parts.tsx';

export interface HomePage {
  readonly frame: Frame;
  readonly projects: readonly ProjectRow[];
  readonly heads: ReadonlyMap<string, RevisionLine>;
  readonly activity: ReadonlyMap<number, { readonly running: number; readonly queued: number }>;
  readonly totals: QueueTotals;
  readonly notices: readonly SetupNotice[];
  readonly more: boolean;
  readonly now: Date;
}

/** Projects with the state of their default branch, and what the server is doing. */
export function homePage(page: HomePage): Promise<string> {
  const { frame, projects, totals } = page;
  return renderPage(
    <Layout frame={{ ...frame, here: 'projects' }} title="Projects">
      <div id="notices">
        {page.notices.map((notice) => (
          <Banner tone="attention" title={notice.title}>
            {notice.hint}
          </Banner>
        ))}
      </div>
      <div class="heading">
        <h1>Projects</h1>
        <p class="aside" id="totals" data-live>
          <a href="/queue">
            {totals.building + totals.queued + totals.blocked === 0
              ? 'Nothing is queued'
              : `${formatNumber(totals.building)} building, ${formatNumber(totals.queued + totals.blocked)} queued`}
          </a>
        </p>
      </div>
      <div id="projects" data-live>
        {projects.length === 0 ? (
          <NoProjects notices={page.notices} />
        ) : (
          <ul class="rows">
            {projects.map((project) => (
              <ProjectLine
                project={project}
                head={page.heads.get(`${project.owner}/${project.name}`)}
                activity={page.activity.get(project.id)}
                now={page.now}
              />
            ))}
          </ul>
        )}
        {page.more ? (
          <p class="more">
            These are the {countOf(projects.length, 'project')} with the latest activity. Search finds the
            others.
          </p>
        ) : null}
      </div>
    </Layout>,
  );
}

const atRest = { shape: 'slash', tone: 'muted' } as const;
const nothingYet: StateFace = { word: 'nothing pushed yet', shape: 'circle', tone: 'muted' };

function whyNothing(project: ProjectRow): string | undefined {
  if (project.enabled) return undefined;
  return project.paused_at === null
    ? 'The GitHub App may not see it any more'
    : 'Paused by an operator: what is pushed is not evaluated';
}

const ProjectLine: FC<{
  project: ProjectRow;
  head: RevisionLine | undefined;
  activity: { readonly running: number; readonly queued: number } | undefined;
  now: Date;
}> = ({ project, head, activity, now }) => {
  const name = { owner: project.owner, project: project.name };
  const rest = restOf(project);
  return (
    <li id={`project-${project.id}`} class="row project-line">
      <Mark face={head ? revisionFace(head) : rest ? { ...atRest, word: rest } : nothingYet} silent large />
      <div class="main">
        <a class="name" href={projectLink(name)}>
          <span class="parents">{project.owner}/</span>
          {project.name}
        </a>
        {project.private ? <span class="tag">private</span> : null}
        {rest ? (
          <>
            {' '}
            <span class="tag">{rest}</span>
          </>
        ) : null}
        <p class="sub">
          {head ? (
            <>
              <span class="branch">{project.default_branch}</span>
              <a class="quiet title" href={revisionLink(head)}>
                {head.title || 'No message'}
              </a>
            </>
          ) : (
            (whyNothing(project) ?? `Waiting for a push to ${defaultBranchName(project)} or a pull request`)
          )}
        </p>
      </div>
      <div class="result">
        {head ? <Counts counts={head.counts} /> : null}
        {head ? <CountsBar counts={head.counts} /> : null}
      </div>
      <div class="activity number">
        {activity
          ? `${formatNumber(activity.running)} building, ${formatNumber(activity.queued)} queued`
          : null}
      </div>
      <div class="when">
        {head ? <Sha sha={head.sha} /> : null}
        {head ? <Ago date={head.created_at} now={now} /> : null}
      </div>
    </li>
  );
};

const NoProjects: FC<{ notices: readonly SetupNotice[] }> = ({ notices }) => (
  <Empty title="No projects yet">
    {notices.length > 0 ? (
      <p>First take care of what is said above. Then:</p>
    ) : (
      <p>This server is ready for its first repository.</p>
    )}
    <ol class="steps">
      <li>Install the GitHub App on a repository; it appears here at once.</li>
      <li>
        Put a <code>ci.nix</code>, <code>nix/ci.nix</code>, <code>default.nix</code> or <code>flake.nix</code>{' '}
        into it, and push.
      </li>
      <li>
        To see what will be built before that, run <code>ringmaster run</code> in a checkout.
      </li>
    </ol>
  </Empty>
);
