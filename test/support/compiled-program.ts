/**
 * The program as its users run it: compiled. Sources that each process compiles anew as it loads them
 * cost the tests, which start it some hundred times, more than all that it does.
 */
import { chmod, cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { makeQuickProgram } from '../../scripts/quick-program.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface CompiledProgram {
  /** What Node is to run. */
  readonly main: string;
  remove(): Promise<void>;
}

/** Compiles `src` as it is now, for one run of the tests; laid out as a built checkout is. */
export async function compileProgram(): Promise<CompiledProgram> {
  const folder = await mkdtemp(join(tmpdir(), 'ringmaster-program-'));
  // Some tests run it as a user without rights.
  await chmod(folder, 0o755);
  await mkdir(join(folder, 'dist/web'), { recursive: true });
  for (const name of ['node_modules', 'migrations', 'package.json', '.git', 'app.yml'])
    await symlink(join(root, name), join(folder, name));
  await symlink(join(root, 'src/web/assets'), join(folder, 'dist/web/assets'));
  await build({
    absWorkingDir: root,
    entryPoints: ['src/**/*.ts', 'src/**/*.tsx'],
    outbase: 'src',
    outdir: join(folder, 'dist'),
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    jsx: 'automatic',
    jsxImportSource: 'hono/jsx',
    logLevel: 'error',
    // One file each, so that what lies beside a source is found beside what became of it.
    bundle: true,
    plugins: [
      {
        name: 'one-file-each',
        setup({ onResolve }) {
          onResolve({ filter: /^\.\.?\// }, ({ path }) => ({
            path: path.replace(/\.tsx?$/, '.js'),
            external: true,
          }));
        },
      },
    ],
  });
  await makeQuickProgram(join(folder, 'dist'));
  // Copied: it looks for the rest beside where it really is.
  await cp(join(root, 'bin'), join(folder, 'bin'), { recursive: true });
  return {
    main: join(folder, 'bin/ringmaster.js'),
    remove: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }),
  };
}
