/** The few files a browser needs, read once and named by their content so that caches keep them. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';
import { notFound } from './problem.ts';

/** Sheets in the order of the cascade; a browser gets them as one. */
const sheets = [
  'theme',
  'frame',
  'parts',
  'rows',
  'revision',
  'job',
  'cause',
  'log',
  'empty',
  'machines',
  'setup',
  'narrow',
] as const;

const files = {
  stylesheet: {
    name: 'ringmaster.css',
    type: 'text/css; charset=utf-8',
    sources: sheets.map((sheet) => `styles/${sheet}.css`),
  },
  script: { name: 'ringmaster.js', type: 'text/javascript; charset=utf-8', sources: ['ringmaster.js'] },
  icon: { name: 'ringmaster.svg', type: 'image/svg+xml', sources: ['ringmaster.svg'] },
} as const;

/** URL paths of the assets. */
export type AssetPaths = Readonly<Record<keyof typeof files, string>>;

interface Asset {
  readonly path: string;
  readonly type: string;
  readonly body: Buffer;
}

export interface Assets {
  readonly paths: AssetPaths;
  readonly all: ReadonlyMap<string, Asset>;
}

/** Reads the assets from beside this module, in `src` as in `dist`. */
export async function loadAssets(): Promise<Assets> {
  const [stylesheet, script, icon] = await Promise.all([
    loadAsset(files.stylesheet),
    loadAsset(files.script),
    loadAsset(files.icon),
  ]);
  const all = new Map([stylesheet, script, icon].map((asset) => [asset.path, asset]));
  return { paths: { stylesheet: stylesheet.path, script: script.path, icon: icon.path }, all };
}

async function loadAsset(file: {
  readonly name: string;
  readonly type: string;
  readonly sources: readonly string[];
}): Promise<Asset> {
  const { name, type, sources } = file;
  const parts = await Promise.all(
    sources.map((source) => readFile(new URL(`./assets/${source}`, import.meta.url))),
  );
  const body = Buffer.concat(parts);
  const digest = createHash('sha256').update(body).digest('base64url').slice(0, 10);
  return { path: `/assets/${digest}/${name}`, type, body };
}

/** Serves them. A digest that is not the current one is an old page's; it gets a 404 and reloads. */
export function registerAssets(app: FastifyInstance, assets: Assets): void {
  app.get<{ Params: { '*': string } }>('/assets/*', (request, reply) => {
    const asset = assets.all.get(`/assets/${request.params['*']}`);
    if (!asset) throw notFound('file');
    return reply
      .header('cache-control', 'public, max-age=31536000, immutable')
      .type(asset.type)
      .send(asset.body);
  });
  app.get('/favicon.ico', (_request, reply) => reply.redirect(assets.paths.icon));
  app.get('/robots.txt', (_request, reply) =>
    reply.type('text/plain').send('User-agent: *\nDisallow: /api/\nDisallow: /search\n'),
  );
}
