/** Plain pages for a person: repositories, their commits, and what stands at a commit. */

import { git, resolveCommit } from './git.ts';
import { listCommits } from './git-history.ts';
import type { OtherReply } from './server.ts';
import { latestStatuses } from './statuses.ts';
import { type CheckRun, findRepository, fullName, type Repository, type World } from './world.ts';

/** Answers a path, 404 included. */
export function createPages(world: World): (path: string) => Promise<OtherReply> {
  return async (path) => {
    const [owner, name, kind, id] = path.split('/').slice(1).map(decodeURIComponent);
    if (!owner) return page(200, 'Repositories', home(world));
    const repository = findRepository(world, `${owner}/${name}`);
    if (!repository) return page(404, 'Not found', '<p>Nothing here.</p>');
    if (kind === undefined || kind === '') return page(200, fullName(repository), await commits(repository));
    if (kind === 'commit' && id) {
      const sha = await resolveCommit(repository, id);
      if (sha) return page(200, `${fullName(repository)} at ${sha.slice(0, 12)}`, commit(repository, sha));
    }
    const run = kind === 'runs' ? repository.runs.find((one) => String(one.id) === id) : undefined;
    if (run) return page(200, run.name, checkRun(run));
    const pull = kind === 'pull' ? repository.pulls.get(Number(id)) : undefined;
    if (pull) {
      const comments = repository.comments.filter(({ number }) => number === pull.number);
      const said = comments.map(
        (one) => `<h3>${escapeHtml(one.user.login)}</h3><pre>${escapeHtml(one.body)}</pre>`,
      );
      const title = `${pull.title} #${pull.number} (${pull.merged ? 'merged' : pull.state})`;
      return page(200, title, commit(repository, pull.headSha) + said.join(''));
    }
    return page(404, 'Not found', '<p>Nothing here.</p>');
  };
}

function home(world: World): string {
  const items = [...world.repositories.values()].map(
    (one) => `<li>${link(`/${fullName(one)}`, fullName(one))}${one.private ? ' (private)' : ''}</li>`,
  );
  return `<ul>${items.join('')}</ul>`;
}

async function commits(repository: Repository): Promise<string> {
  const refs = await git(repository.directory, ['for-each-ref', '--format=%(refname) %(objectname)']);
  const heads = refs.split('\n').flatMap((line) => {
    const [ref, sha] = line.split(' ');
    return ref && sha && !ref.endsWith('/merge') ? [{ ref, sha }] : [];
  });
  const rows = await Promise.all(
    heads.map(async ({ ref, sha }) => {
      const [info] = await listCommits(repository.directory, sha);
      const at = link(`/${fullName(repository)}/commit/${sha}`, sha.slice(0, 12));
      const marks = [...newest(repository, sha).values()].map(mark).join(' ');
      return `<tr><td>${escapeHtml(ref)}</td><td>${at}</td><td>${escapeHtml(info?.message ?? '')}</td><td>${marks}</td></tr>`;
    }),
  );
  return `<table>${rows.join('')}</table>`;
}

function commit(repository: Repository, sha: string): string {
  const statuses = latestStatuses(repository, sha).map((one) => {
    const text = `${escapeHtml(one.context)}: <b>${one.state}</b> ${escapeHtml(one.description ?? '')}`;
    return `<li>${text} ${one.targetUrl ? link(one.targetUrl, 'Details') : ''}</li>`;
  });
  const runs = [...newest(repository, sha).values()].map(checkRun);
  const none = runs.length + statuses.length === 0 ? '<p>Nothing has been reported yet.</p>' : '';
  return `<p>${sha}</p><ul>${statuses.join('')}</ul>${runs.join('')}${none}`;
}

function checkRun(run: CheckRun): string {
  const notes = run.annotations.map(
    (note) =>
      `<li>${escapeHtml(`${note.path}:${note.start_line} ${note.annotation_level}: ${note.title ?? ''}`)}<pre>${escapeHtml(note.message)}</pre></li>`,
  );
  const buttons = run.actions.map(
    (action) => `<button disabled>${escapeHtml(String(action.label))}</button>`,
  );
  return `<section><h2>${mark(run)} ${escapeHtml(run.name)}</h2>
<p><b>${escapeHtml(run.title ?? '')}</b> ${run.detailsUrl ? link(run.detailsUrl, 'Details') : ''} ${buttons.join(' ')}</p>
${run.summary ? `<pre>${escapeHtml(run.summary)}</pre>` : ''}${run.text ? `<pre>${escapeHtml(run.text)}</pre>` : ''}
<ul>${notes.join('')}</ul></section>`;
}

const newest = (repository: Repository, sha: string) =>
  new Map(repository.runs.filter((run) => run.headSha === sha).map((run) => [run.name, run]));

const mark = (run: CheckRun) =>
  `<span class="${run.conclusion ?? run.status}">${run.conclusion ?? run.status}</span>`;

const link = (to: string, text: string) =>
  /^(https?:\/)?\//.test(to) ? `<a href="${escapeHtml(to)}">${escapeHtml(text)}</a>` : escapeHtml(text);

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

const style = `body{font:15px system-ui;margin:2em auto;max-width:60em;padding:0 1em}pre{background:#f3f3f3;padding:.8em;overflow:auto}
td{padding:.2em .8em .2em 0;vertical-align:top}span{border-radius:1em;padding:.1em .6em;background:#ddd;font-size:12px}
.success{background:#bfe8c5}.failure,.timed_out{background:#f5b7b1}.action_required{background:#fbe3a1}`;

function page(status: number, title: string, body: string): OtherReply {
  const text = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title>
<style>${style}</style></head><body><p><a href="/">Repositories</a></p><h1>${escapeHtml(title)}</h1>${body}</body></html>`;
  return { status, type: 'text/html', text };
}
