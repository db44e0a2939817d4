/** The program as a user runs it, compiled from what lies here now: a `dist/` may be of any age. */
import { access, cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeQuickProgram } from '../scripts/quick-program.ts';
import { runProcess } from '../src/basics/index.ts';
import { environmentOf } from './environment.ts';

export interface BuiltProgram {
  /** To be run by Node. */
  readonly main: string;
  remove(): Promise<void>;
}

const root = fileURLToPath(new URL('..', import.meta.url));

/** Compiles the program into a folder of its own. */
export async function buildProgram(): Promise<BuiltProgram> {
  // Below node_modules, so that its imports are found as those of any other installation.
  const folder = await mkdtemp(join(root, 'node_modules/.bench-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const info = join(folder, 'tsbuildinfo');
    const args = ['-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist'), '--tsBuildInfoFile', info];
    const compiled = await runProcess(process.execPath, [compiler, ...args], {
      cwd: root,
      env: environmentOf(process.env),
    });
    // It compiles what has errors, too.
    if (compiled.exitCode !== 0) process.stderr.write(compiled.stdout);
    await access(join(folder, 'dist/cli/main.js'));
    await cp(join(root, 'src/web/assets'), join(folder, 'dist/web/assets'), { recursive: true });
    for (const name of ['migrations', 'package.json']) await symlink(join(root, name), join(folder, name));
    await makeQuickProgram(join(folder, 'dist'));
    // Copied: it looks for the rest beside where it really is.
    await cp(join(root, 'bin'), join(folder, 'bin'), { recursive: true });
    return { main: join(folder, 'bin/ringmaster.js'), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
