import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nixesUnderTest, openTestNix, type TestNix } from '../test-nix.ts';

/** Processes with a word in their command line; the dead that nobody has waited for do not count. */
async function processesWith(word: string): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'stat=,args=']);
  return stdout.split('\n').filter((line) => line.includes(word) && !line.startsWith('Z')).length;
}

describe.each(nixesUnderTest)('a builder of $name', (under) => {
  let it: TestNix;
  beforeAll(async () => {
    it = await openTestNix(under);
  });
  afterAll(() => it.close());

  test('does not outlive this program, even if that is killed outright', async () => {
    const marker = `30${process.pid}.5`;
    const drvPath = await it.derivation(`echo begun; sleep ${marker}`);
    const program = `
      import { openLocalStore } from ${JSON.stringify(new URL('../index.ts', import.meta.url).href)};
      import { silentLogger } from ${JSON.stringify(new URL('../../basics/index.ts', import.meta.url).href)};
      const store = openLocalStore({ nix: ${JSON.stringify(it.nix)}, logger: silentLogger() });
      await store.realise({
        drvPath: ${JSON.stringify(drvPath)}, signal: new AbortController().signal,
        timeoutSeconds: 0, maxSilentSeconds: 0, onLogLine: () => process.send('begun'),
      });`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => Promise.reject(new Error('exited'))),
    ]);
    expect(await processesWith(marker)).toBeGreaterThan(0);
    child.kill('SIGKILL');
    await expect.poll(() => processesWith(marker)).toBe(0);
  });
});
