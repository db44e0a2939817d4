import type { FastifyReply } from 'fastify';
import type { AssetPaths } from './assets.ts';
import { type ForgeLinks, revisionLink } from './links.ts';
import type { EventStreams } from './live/event-stream.ts';
import type { FanOut } from './live/fan-out.ts';
import type { WebServerOptions } from './options.ts';
import { notFound } from './problem.ts';
import type { FirstErrors } from './read/first-error.ts';
import { findProject, type ProjectRow } from './read/projects.ts';
import type { Reader } from './read/reader.ts';
import { findRevisions, type RevisionLine } from './read/revision-lines.ts';

/** What the routes of pages work with. */
export interface PageContext {
  readonly reader: Reader;
  readonly streams: EventStreams;
  readonly revisions: FanOut;
  readonly logs: FanOut;
  readonly assets: AssetPaths;
  readonly options: WebServerOptions;
  readonly forge: ForgeLinks;
  readonly firstErrors: FirstErrors;
  /** The project of a revision that visitors may see. */
  projectOf(revisionId: number): Promise<number | undefined>;
}

/** The project in the address, or the page that says there is none. */
export async function needProject(
  reader: Reader,
  params: { readonly owner: string; readonly project: string },
): Promise<ProjectRow> {
  const project = await findProject(reader, params.owner, params.project);
  if (!project) throw notFound('project');
  return project;
}

/** The revision in the address; the start of a SHA is enough when it is the only one. */
export async function needRevision(reader: Reader, project: ProjectRow, sha: string): Promise<RevisionLine> {
  const prefix = sha.toLowerCase();
  if (!/^[0-9a-f]{7,64}$/.test(prefix)) throw notFound('commit');
  const [line, another] = await findRevisions(reader, project.id, prefix);
  if (!line || another) throw notFound('commit');
  return line;
}

/** Whether the address spells the SHA in full; if not, the canonical address. */
export function canonicalAddress(
  line: RevisionLine,
  params: { readonly owner: string; readonly project: string; readonly sha: string },
): string | undefined {
  const same = params.sha === line.sha && params.owner === line.owner && params.project === line.project;
  return same ? undefined : revisionLink(line);
}

/** Sends a page. Pages are current only at the moment they are made. */
export async function sendPage(reply: FastifyReply, page: Promise<string>): Promise<FastifyReply> {
  const html = await page;
  return reply
    .type('text/html; charset=utf-8')
    .header('cache-control', 'no-cache')
    .serializer(String)
    .send(html);
}
