/**
 * Makes `dist/cli/quick.cjs` of what `dist` holds: the commands that people wait for at a prompt, in one
 * file with all that they load, and beside it what V8 has made of that file. Loading the modules one by
 * one takes longer than evaluating a small repository. See docs/adr/0015-one-file-for-quick-commands.md.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build, type Plugin } from 'esbuild';

/** What is in the file of the commands' code; that of all others stays outside. */
const inside = ['./run.js', './build-log.js', './settings.js'];

/** `dist`: a folder with the compiled program. */
export async function makeQuickProgram(dist: string): Promise<void> {
  const file = join(dist, 'cli/quick.cjs');
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
    plugins: [leaveOut(dist)],
    external: ['pg-native'],
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
  await writeFile(file, `${text}${id}`);
  const maker = join(import.meta.dirname, 'code-cache.cjs');
  await promisify(execFile)(process.execPath, [maker, file]);
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function leaveOut(dist: string): Plugin {
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
