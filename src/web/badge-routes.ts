/** Badges for READMEs: an image, and the same as JSON for shields.io (shields.io/badges/endpoint-badge). */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import { attributePathFromUrl } from '../evaluations/index.ts';
import { type BadgeState, readBadge } from './read/badge.ts';
import type { Reader } from './read/reader.ts';

const parameters = z.object({ owner: z.string().max(100), repository: z.string().max(110) });
const queries = z.object({
  branch: z.string().min(1).max(255).optional().catch(undefined),
  job: z.string().min(1).max(2000).optional().catch(undefined),
  label: z.string().min(1).max(60).optional().catch(undefined),
});

const colors = {
  passing: '#2a7d3f',
  failing: '#b42318',
  pending: '#8a6100',
  unknown: '#5c6370',
} as const satisfies Record<BadgeState, string>;

/** Serves `/badge/:owner/:repo.svg` and `.json`. */
export function registerBadges(app: FastifyInstance, reader: Reader): void {
  app.get('/badge/:owner/:repository', async (request, reply) => {
    const { owner, repository } = parameters.parse(request.params);
    const { branch, job, label = 'ringmaster' } = queries.parse(request.query);
    const [, name, kind] = /^(.*)\.(svg|json)$/.exec(repository) ?? [];
    if (name === undefined) return reply.callNotFound();
    const path = job === undefined ? undefined : attributePathFromUrl(job);
    // What names no attribute is not taken for all of them.
    const unreadable = job !== undefined && path === undefined;
    const state = unreadable ? 'unknown' : await readBadge(reader, { owner, name, branch, job: path });
    cacheShortly(reply);
    if (kind === 'json') {
      return reply.send({
        schemaVersion: 1,
        label,
        message: state,
        color: colors[state],
        isError: state === 'failing',
        cacheSeconds,
      });
    }
    return reply.type('image/svg+xml; charset=utf-8').send(badgeImage(label, state));
  });
}

/** GitHub's image proxy keeps what may be kept; a minute is what a push takes. */
const cacheSeconds = 60;

function cacheShortly(reply: FastifyReply): void {
  reply.header('cache-control', `public, max-age=${cacheSeconds}, s-maxage=${cacheSeconds}`);
}

/** Width of a text in 11 px Verdana or its like, in px: near enough, and the same everywhere. */
function widthOf(text: string): number {
  return Math.round([...text].reduce((sum, one) => sum + (/[iljtfr.,:;|!' ]/.test(one) ? 4.2 : 7.1), 0)) + 12;
}

function badgeImage(label: string, state: BadgeState): string {
  const left = widthOf(label);
  const right = widthOf(state);
  const words = escapeXml(label);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${left + right}" height="20" role="img" aria-label="${words}: ${state}">` +
    `<title>${words}: ${state}</title><clipPath id="r"><rect width="${left + right}" height="20" rx="3"/></clipPath>` +
    `<g clip-path="url(#r)"><rect width="${left}" height="20" fill="#3d434d"/>` +
    `<rect x="${left}" width="${right}" height="20" fill="${colors[state]}"/></g>` +
    `<g fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">` +
    `<text x="${left / 2}" y="14">${words}</text><text x="${left + right / 2}" y="14">${state}</text></g></svg>\n`
  );
}

function escapeXml(text: string): string {
  return text
    .replaceAll(/\p{C}/gu, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
