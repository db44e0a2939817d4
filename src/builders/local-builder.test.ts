import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ResolvedDerivation, readDerivation, resolvedDerivation, resolvedText } from '../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { createLocalBuilder } from './local-builder.ts';
import { resolveInputs } from './resolve-inputs.ts';
import type { AttemptRequest, AttemptResult, Builder } from './types.ts';

const fixedOutput = `outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "${'0'.repeat(64)}";`;

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
    on = builder,
  ): Promise<AttemptResult & { lines: string[] }> {
    const lines: string[] = [];
    const result = await on.attempt({
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

  /** A derivation of the store as its builder is told of it. */
  async function told(drvPath: string): Promise<ResolvedDerivation> {
    const read = (path: string) => readDerivation(it.nix.layout, path);
    return resolvedDerivation(resolvedText(await resolveInputs(await read(drvPath), read)));
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

  test('builds what it is told of, though its derivation is in no store', async () => {
    const input = await it.derivation('echo input > $out');
    const [top = ''] = await it.instantiate(`derivation {
      name = "told"; system = builtins.currentSystem; builder = "/bin/sh"; outputs = [ "out" "doc" ];
      args = [ "-c" "read x < \${import ${input}}; echo got $x; echo $x > $out; echo > $doc" ];
    }`);
    const drvPath = top.replace(/!.*/, '');
    const derivation = await told(drvPath);
    await it.run('nix-store', ['--realise', input]);
    await it.run('nix-store', ['--delete', '--ignore-liveness', drvPath]);
    const result = await attempt(drvPath, { derivation });
    expect(result).toMatchObject({ status: 'built', lines: ['got input'] });
    expect(Object.keys(result.outputs).sort()).toEqual(['doc', 'out']);
    expect(await it.store.queryValidPaths([drvPath, ...Object.values(result.outputs)])).toEqual(
      new Set(Object.values(result.outputs)),
    );
    expect((await attempt(drvPath, { derivation })).status).toBe('already-valid');
  });

  test.each([
    ['a failure', 'exit 3', '', 'failed', /exit code 3/],
    ['no output', 'true', '', 'failed', /failed to produce output/],
    ['a wrong hash', 'echo x > $out', fixedOutput, 'output-mismatch', /sha256/],
    ['a feature', 'echo > $out', 'requiredSystemFeatures = [ "quantum" ];', 'unsupported-system', /quantum/],
    ['a reference', 'echo $out > $out', 'allowedReferences = [];', 'failed', /not allowed to refer/],
  ])(
    'says the same of %s, told of a derivation or having to find it',
    async (_, script, attributes, status, words) => {
      const drvPath = await it.derivation(script, attributes);
      for (const more of [{}, { derivation: await told(drvPath) }]) {
        const { lines, ...result } = await attempt(drvPath, more);
        expect(result).toMatchObject({ status, message: expect.stringMatching(words), outputs: {} });
      }
    },
  );

  test('keeps an input from being collected for as long as it builds, and asks for that once', async () => {
    const input = await it.derivation('echo shared > $out');
    const path = (await it.run('nix-store', ['--realise', input])).trim().split('\n').at(-1) ?? '';
    const store = it.openStore();
    const building = createLocalBuilder({ store, nix: it.nix, name: 'here', slots: 1 });
    for (const name of ['first', 'second']) {
      const script = `read x < $input; echo ${name} > $out`;
      const drvPath = await it.derivation(script, `input = import ${input};`);
      const derivation = await told(drvPath);
      expect(derivation.inputs).toContain(path);
      expect(await attempt(drvPath, { derivation }, building)).toMatchObject({ status: 'built' });
      const kept = await temporaryRoots(it);
      expect(kept.filter((root) => root === path)).toEqual([path]);
    }
    await building.close();
  });

  test('fetches inputs that only a cache has, and makes those again that were collected', async () => {
    const input = await it.derivation('echo far > $out');
    const drvPath = await it.derivation(
      'read x < $input; echo got $x; echo > $out',
      `input = import ${input};`,
    );
    const derivation = await told(drvPath);
    const [path = ''] = derivation.inputs;
    await it.run('nix-store', ['--realise', input]);
    const cache = join(it.folder, 'cache');
    const copy = ['copy', '--extra-experimental-features', 'nix-command', '--to', `file://${cache}`, path];
    await it.run('nix', copy);
    const server = await serveFiles(cache);
    const substituters = { substituters: `${server.url}?trusted=true`, 'require-sigs': 'false' };
    const store = it.openStore({ overrides: substituters });
    const fetching = createLocalBuilder({ store, nix: it.nix, name: 'here', slots: 1 });
    try {
      await it.run('nix-store', ['--delete', '--ignore-liveness', path]);
      expect(await attempt(drvPath, { derivation }, fetching)).toMatchObject({
        status: 'built',
        lines: ['got far'],
      });
      expect(server.asked).toContainEqual(expect.stringMatching(/^\/nar\//));
    } finally {
      await fetching.close();
      await server.close();
    }
    const outputs = [...derivation.derivation.outputs.values()].flatMap((output) => output.path ?? []);
    await it.run('nix-store', ['--delete', '--ignore-liveness', path, ...outputs]);
    expect(await attempt(drvPath, { derivation })).toMatchObject({ status: 'built' });
  });

  test('does not blame a build whose inputs were collected together with all that could make them', async () => {
    const input = await it.derivation('echo lost > $out');
    const drvPath = await it.derivation('read x < $input; echo $x > $out', `input = import ${input};`);
    const derivation = await told(drvPath);
    await it.run('nix-store', ['--delete', drvPath, input]);
    expect(await attempt(drvPath, { derivation })).toMatchObject({ status: 'infrastructure' });
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

/** What the daemons of a store have been asked to keep, as the collector reads it. */
async function temporaryRoots({ nix }: TestNix): Promise<readonly string[]> {
  const folder = join(nix.layout.realStoreDir, '../var/nix/temproots');
  const files = await Promise.all(
    (await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8')),
  );
  return files.flatMap((text) => text.split('\0'));
}

/** Files of a folder over http, as the simplest of caches. */
async function serveFiles(folder: string) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    readFile(join(folder, request.url ?? '')).then(
      (content) => response.end(content),
      () => response.writeHead(404).end(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    asked,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** As the out-of-memory killer would. */
async function killDaemonOfThisProcess(): Promise<void> {
  const { stdout } = await promisify(execFile)('ps', ['--ppid', String(process.pid), '-o', 'pid=,args=']);
  for (const line of stdout.split('\n').filter((entry) => entry.includes('nix-daemon --stdio'))) {
    process.kill(Number.parseInt(line, 10), 'SIGKILL');
  }
}
