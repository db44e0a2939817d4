/**
 * Makes `dist/cli/quick-*.cjs` of what `dist` holds: commands that people wait for at a prompt, each in one
 * file with all that it loads, and beside it what V8 has made of that file. Loading the modules one by
 * one takes longer than evaluating a small repository. See docs/adr/0015-one-file-for-quick-commands.md.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build, type Plugin } from 'esbuild';

/**
 * What is in the files of what commands load when they run; everything else stays outside. `start`: a run
 * with nothing to work on, which loads it.
 */
const files = [
  { name: 'quick-run', inside: ['./run.js', './settings.js'], start: ['run', '/nowhere'] },
  { name: 'quick-log', inside: ['./build-log.js', 'knex'], start: ['build', 'log', '1'] },
] as const;

type QuickFile = (typeof files)[number];

/** What knex would load for them. */
const otherDatabases = ['better-sqlite3', 'mariadb', 'mysql', 'mysql2', 'oracledb', 'sqlite3', 'tedious'];

/** `dist`: a folder with the compiled program. */
export async function makeQuickProgram(dist: string): Promise<void> {
  await Promise.all(files.map((wanted) => makeOne(dist, wanted)));
}

async function makeOne(dist: string, { name, inside, start }: QuickFile): Promise<void> {
  const file = join(dist, `cli/${name}.cjs`);
  // Who starts the program meanwhile finds the old one or none, and no cache that is not of it.
  await rm(`${file}.cache`, { force: true });
  const { outputFiles } = await build({
    entryPoints: [join(dist, 'cli/main.js')],
    outfile: file,
    write: false,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    logLevel: 'error',
    // Scripts with a code cache cannot; what stays outside and is needed here can be required.
    supported: { 'dynamic-import': false },
    // Our modules do nothing when they are loaded, so one whose exports nobody uses is left out.
    plugins: [leaveOut(dist, inside)],
    external: ['pg-native', ...otherDatabases],
    banner: {
      js: `(function (require, module, exports, __filename) {
const moduleUrl = require('node:url').pathToFileURL(__filename).href;`,
    },
    footer: { js: '})' },
    define: { 'import.meta.url': 'moduleUrl' },
  });
  // Read byte by byte as it is loaded, which is quicker.
  const text = (outputFiles[0]?.text ?? '').replace(/[^\0-\x7f]/g, unicodeEscape);
  // Both end with it, so that a cache is never taken for one of another file.
  const id = `//${createHash('sha256').update(text).digest('hex')}`;
  await writeFile(`${file}.new`, `${text}${id}`);
  await rename(`${file}.new`, file);
  const maker = join(import.meta.dirname, 'code-cache.cjs');
  await promisify(execFile)(process.execPath, [maker, file, ...start]);
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function leaveOut(dist: string, inside: readonly string[]): Plugin {
  const asked = Symbol('asked');
  return {
    name: 'leave out what is not used',
    setup({ onLoad, onResolve, resolve }) {
      onLoad({ filter: /./, namespace: 'nothing' }, () => ({ contents: '' }));
      onResolve({ filter: /./ }, async ({ path, kind, pluginData, ...where }) => {
        if (pluginData === asked || kind === 'entry-point' || path.startsWith('node:')) return undefined;
        const ours = path.startsWith('.') && where.importer.startsWith(`${dist}/`);
        if (kind === 'dynamic-import' && !inside.includes(path)) return { path, external: true };
        // Messages of validation in fifty languages, of which English is used.
        if (path === '../locales/index.js') return { path, namespace: 'nothing' };
        if (!ours) return undefined;
        return { ...(await resolve(path, { ...where, kind, pluginData: asked })), sideEffects: false };
      });
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await makeQuickProgram(join(import.meta.dirname, '../dist'));
}
