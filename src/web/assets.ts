/** The few files a browser needs, read once and named by their content so that caches keep them. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';
import { notFound } from './problem.ts';

const files = {
  stylesheet: { name: 'ringmaster.css', type: 'text/css; charset=utf-8' },
  script: { name: 'ringmaster.js', type: 'text/javascript; charset=utf-8' },
  icon: { name: 'ringmaster.svg', type: 'image/svg+xml' },
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

async function loadAsset({ name, type }: { readonly name: string; readonly type: string }): Promise<Asset> {
  const body = await readFile(new URL(`./assets/${name}`, import.meta.url));
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
