import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Where the tests' set-up says what it has compiled. Without it the sources are run. */
export const programVariable = 'TEST_RINGMASTER_PROGRAM';

/** How Ringmaster is started: a file and its first arguments. */
export const programCommand: readonly string[] = [process.execPath, ...(compiled() ?? sources())];

function compiled(): readonly string[] | undefined {
  const main = process.env[programVariable];
  return main === undefined ? undefined : [main];
}

/** Wherever it is started; what runs there knows nothing of our packages. */
function sources(): readonly string[] {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  return ['--import', tsx, fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))];
}
