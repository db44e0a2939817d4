import type { FC } from 'hono/jsx';
import { countOf, shortSha } from '../format.ts';
import { jobLink, projectLink, pullRequestLink, revisionLink } from '../links.ts';
import type { SearchHit } from '../read/search.ts';
import { type Frame, Layout, renderPage } from './layout.tsx';
import { AttributeName, Empty } from './parts.tsx';

/** What a search found, by kind. */
export function searchPage(frame: Frame, query: string, hits: readonly SearchHit[]): Promise<string> {
  return renderPage(
    <Layout frame={{ ...frame, query }} title="Search">
      <div class="heading">
        <h1>{query ? `Results for ${query}` : 'Search'}</h1>
        {hits.length > 0 ? <p class="aside number">{countOf(hits.length, 'result')}</p> : null}
      </div>
      {hits.length === 0 ? (
        <Empty title={query ? 'Nothing found' : 'What are you looking for?'}>
          <p>
            Part of the name of a project, branch, tag, attribute or derivation, of the title of a commit or
            pull request, or the start of a commit’s SHA.
          </p>
        </Empty>
      ) : (
        <ul class="rows">
          {hits.map((hit) => (
            <Hit hit={hit} />
          ))}
        </ul>
      )}
    </Layout>,
  );
}

const kindWords = {
  project: 'project',
  revision: 'commit',
  branch: 'branch',
  'pull-request': 'pull request',
  tag: 'tag',
  attribute: 'attribute',
} as const;

const Hit: FC<{ hit: SearchHit }> = ({ hit }) => (
  <li class="row hit-line">
    <span class="tag">{kindWords[hit.kind]}</span>
    <a class="name" href={linkOf(hit)}>
      {hit.kind === 'attribute' && hit.path ? <AttributeName path={hit.path} /> : labelOf(hit)}
    </a>
    <span class="sub">
      <span>
        {hit.owner}/{hit.project}
      </span>
      {hit.kind === 'attribute' && hit.sha ? <span>{shortSha(hit.sha)}</span> : null}
      {hit.kind === 'project' || hit.kind === 'pull-request' || hit.detail === '' ? null : (
        <span>{hit.detail}</span>
      )}
    </span>
  </li>
);

function labelOf(hit: SearchHit): string {
  if (hit.kind === 'project') return `${hit.owner}/${hit.project}`;
  if (hit.kind === 'pull-request') return `#${hit.label} ${hit.detail}`;
  if (hit.kind === 'revision' && hit.sha) return `${shortSha(hit.sha)} ${hit.label}`;
  return hit.label;
}

function linkOf(hit: SearchHit): string {
  if (hit.kind === 'pull-request') return pullRequestLink(hit, hit.label);
  if (hit.sha === null)
    return hit.kind === 'branch'
      ? `${projectLink(hit)}/tree/${encodeURIComponent(hit.label)}`
      : projectLink(hit);
  const at = { ...hit, sha: hit.sha };
  return hit.path ? jobLink({ ...at, path: hit.path }) : revisionLink(at);
}
