import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { createLocalBuilder } from './local-builder.ts';
import type { AttemptRequest, AttemptResult, Builder } from './types.ts';

describe.each(nixesUnderTest)('a local builder with $name', (under) => {
  let it: TestNix;
  let builder: Builder;
  const maxLogBytes = 1000;
  beforeAll(async () => {
    it = await openTestNix(under);
    const store = it.openStore({ maxLogBytes });
    builder = createLocalBuilder({ store, nix: it.nix, name: 'here', slots: 2, maxLogBytes });
  });
  afterAll(async () => {
    await builder.close();
    await it.close();
  });

  async function attempt(
    drvPath: string,
    more: Partial<AttemptRequest> = {},
  ): Promise<AttemptResult & { lines: string[] }> {
    const lines: string[] = [];
    const result = await builder.attempt({
      attemptId: 0,
      drvPath,
      outputs: {},
      signal: new AbortController().signal,
      timeoutSeconds: 60,
      maxSilentSeconds: 0,
      onLogLine: (line) => lines.push(line.toString()),
      ...more,
    });
    return { ...result, lines };
  }

  test('tells what it can build', () => {
    expect(builder).toMatchObject({ name: 'here', kind: 'local', slots: 2 });
    expect(builder.systems[0]).toBe(it.nix.system);
    expect(builder.features).toContain('big-parallel');
  });

  test('builds, and tells when', async () => {
    const before = Date.now();
    const result = await attempt(await it.derivation('echo hi; echo > $out'));
    expect(result).toMatchObject({ status: 'built', lines: ['hi'] });
    expect(result.startedAt.getTime()).toBeGreaterThanOrEqual(before);
    expect(result.finishedAt.getTime()).toBeGreaterThanOrEqual(result.startedAt.getTime());
  });

  test('stops a build that prints too many lines, and hands on no more than may be', async () => {
    const { status, message, lines } = await attempt(
      await it.derivation('while :; do echo 0123456789012345678901234567890123456789; done'),
    );
    expect(status).toBe('log-limit');
    expect(message).toMatch(/1000 bytes/);
    expect(lines.join('\n').length).toBeLessThanOrEqual(maxLogBytes);
    expect(lines.length).toBeGreaterThan(10);
  });

  test('stops a build that prints one line without an end', async () => {
    const { status, lines } = await attempt(await it.derivation('while :; do printf 0123456789; done'));
    expect(status).toBe('log-limit');
    expect(lines).toEqual([]);
  });

  test('tells cancelled builds from those that printed too much', async () => {
    const cancel = new AbortController();
    const result = await attempt(await it.derivation('echo begun; sleep 1002'), {
      signal: cancel.signal,
      onLogLine: () => cancel.abort(),
    });
    expect(result.status).toBe('cancelled');
  });

  test('blames the machine when the daemon dies, and builds again afterwards', async () => {
    const drvPath = await it.derivation('echo begun; sleep 2; echo > $out');
    let killed: Promise<unknown> | undefined;
    const onLogLine = () => {
      killed ??= killDaemonOfThisProcess();
    };
    const result = await attempt(drvPath, { onLogLine });
    await killed;
    expect(result).toMatchObject({ status: 'infrastructure', outputs: {} });
    expect(result.message).toMatch(/closed the connection/);
    expect((await attempt(await it.derivation('echo again > $out'))).status).toBe('built');
  });
});

/** As the out-of-memory killer would. */
async function killDaemonOfThisProcess(): Promise<void> {
  const { stdout } = await promisify(execFile)('ps', ['--ppid', String(process.pid), '-o', 'pid=,args=']);
  for (const line of stdout.split('\n').filter((entry) => entry.includes('nix-daemon --stdio'))) {
    process.kill(Number.parseInt(line, 10), 'SIGKILL');
  }
}
