import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProcess } from '../basics/index.ts';
import { nixBase32 } from '../nix/index.ts';
import { nixesUnderTest, openTestNix, type TestNix } from '../nix/test-nix.ts';
import { type Bytes, createTranscoders } from './compression.ts';
import { formatHash, fromNixBase32, parseHash } from './hashes.ts';
import { formatNarInfo, parseNarInfo } from './nar-info.ts';
import { writeNar } from './nar-writer.ts';
import { createVerifier, generateSecretKey, parseSecretKey } from './signing.ts';

const transcoders = createTranscoders({ PATH: process.env.PATH ?? '' });

async function whole(bytes: Bytes): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* inPieces(bytes: Buffer, size: number): Bytes {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test('hashes are read in each of their spellings, and written as in narinfo files', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const hex = Buffer.from(bytes).toString('hex');
      expect(fromNixBase32(nixBase32(bytes), 32)?.toString('hex')).toBe(hex);
      const base64 = Buffer.from(bytes).toString('base64');
      for (const text of [formatHash(hex), `sha256:${hex}`, `sha256-${base64}`])
        expect(parseHash(text)).toBe(hex);
    }),
  );
  for (const text of [
    '',
    'sha256:',
    `sha256:${'z'.repeat(52)}`,
    `md5:${'0'.repeat(52)}`,
    'sha256-AAAA',
    `sha256:${'e'.repeat(52)}`,
  ]) {
    expect(parseHash(text)).toBeUndefined();
  }
});

describe.each(['zstd', 'xz', 'gzip', 'none'] as const)('compressed with %s', (name) => {
  const content = Buffer.from('all the same to compressors '.repeat(100_000));

  async function compressed(): Promise<Buffer> {
    if (name === 'none' || name === 'zstd')
      return whole(transcoders.compress(name, inPieces(content, 100_000)));
    const folder = await mkdtemp(join(tmpdir(), 'ringmaster-compression-'));
    try {
      await writeFile(join(folder, 'file'), content);
      const { exitCode } = await runProcess(name, [join(folder, 'file')], {
        env: { PATH: process.env.PATH ?? '' },
      });
      expect(exitCode).toBe(0);
      const [file] = await readdir(folder);
      return await readFile(join(folder, file ?? ''));
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  test('comes back as it was; damage and sudden ends are errors', async () => {
    const bytes = await compressed();
    const decompress = (source: Bytes) => whole(transcoders.decompress(name, source));
    expect((await decompress(inPieces(bytes, 1000))).equals(content)).toBe(true);
    if (name === 'none') return;
    await expect(decompress(inPieces(bytes.subarray(0, -20), 1000))).rejects.toMatchObject({
      reason: 'damaged',
    });
    await expect(decompress(inPieces(Buffer.alloc(1000, 7), 1000))).rejects.toMatchObject({
      reason: 'damaged',
    });
    const failing = async function* (): Bytes {
      yield bytes.subarray(0, 10);
      throw new Error('the network is away');
    };
    await expect(decompress(failing())).rejects.toThrow('the network is away');
  });

  test('can be left in the middle', async () => {
    let ended = false;
    const endless = async function* (): Bytes {
      try {
        for (;;) yield content;
      } finally {
        ended = true;
      }
    };
    for await (const chunk of transcoders.compress(name === 'zstd' ? 'zstd' : 'none', endless())) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    await expect.poll(() => ended).toBe(true);
  });
});

describe.each(nixesUnderTest)('with $name', (under) => {
  let testNix: TestNix;
  let cache: string;
  let publicKey: string;
  const nix = (...args: string[]) =>
    testNix.run('nix', ['--extra-experimental-features', 'nix-command', ...args]);

  beforeAll(async () => {
    testNix = await openTestNix(under);
    cache = join(testNix.folder, 'cache');
    const secretFile = join(testNix.folder, 'secret');
    const secret = generateSecretKey('cache.example.org-1');
    publicKey = parseSecretKey(secret).publicKey;
    await writeFile(secretFile, `${secret}\n`);
    const drvPath = await testNix.derivation(
      `mkdir -p $out/b/empty $out/a; echo hello > $out/a/file; echo run > $out/b/program; chmod +x $out/b/program;
       ln -s /nowhere $out/link; : > $out/nothing; echo $out $needed > $out/self`,
      'needed = derivation { name = "needed"; system = builtins.currentSystem; builder = "/bin/sh"; args = ["-c" "echo hi > $out"]; };',
    );
    const built = (await testNix.run('nix-store', ['--realise', drvPath])).trim();
    for (const compression of ['zstd', 'xz', 'none']) {
      await nix(
        'copy',
        '--to',
        `file://${cache}?compression=${compression}&secret-key=${secretFile}`,
        built,
        drvPath,
      );
    }
  });
  afterAll(() => testNix.close());

  const readNarInfos = async () => {
    const files = (await readdir(cache)).filter((name) => name.endsWith('.narinfo'));
    expect(files.length).toBeGreaterThanOrEqual(2);
    return Promise.all(files.map(async (name) => readFile(join(cache, name), 'utf8')));
  };

  test('its narinfo files are read, and written again byte for byte', async () => {
    for (const text of await readNarInfos()) {
      expect(formatNarInfo(parseNarInfo(text, '/nix/store'))).toBe(text);
    }
  });

  test('its signatures are right by our check, and ours by its', async () => {
    const verify = createVerifier([publicKey]);
    for (const text of await readNarInfos()) {
      const { path, info } = parseNarInfo(text, '/nix/store');
      expect(verify(path, info, info.signatures)).toBe(true);
      expect(verify(path, { ...info, narBytes: info.narBytes + 1 }, info.signatures)).toBe(false);
      expect(createVerifier([])(path, info, info.signatures)).toBe(false);
    }
    const printed = await runProcess(
      testNix.nix.programs.nix,
      ['--extra-experimental-features', 'nix-command', 'key', 'convert-secret-to-public'],
      { env: testNix.nix.environment, input: await readFile(join(testNix.folder, 'secret')) },
    );
    expect(printed.stdout.trim()).toBe(publicKey);
  });

  test('its NARs are what we write from the same files', async () => {
    for (const text of await readNarInfos()) {
      const { path, info } = parseNarInfo(text, '/nix/store');
      const nar = await whole(writeNar(join(testNix.folder, 'store', path)));
      expect(nar.length).toBe(info.narBytes);
      expect(createHash('sha256').update(nar).digest('hex')).toBe(info.narHash);
    }
  });

  test('files of every kind and name are packed as it packs them', async () => {
    const folder = join(testNix.folder, 'odd');
    await mkdir(join(folder, 'x', 'y'), { recursive: true });
    await writeFile(join(folder, 'large'), Buffer.alloc(600_001, 1));
    await writeFile(join(folder, 'Ünïcode and spaces'), 'x');
    await writeFile(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0x41])]), 'not text');
    await writeFile(join(folder, 'x-'), '12345678');
    await chmod(join(folder, 'x-'), 0o755);
    await symlink('../over/there', join(folder, 'x', 'link'));
    const { stdout } = await runProcess(
      'sh',
      ['-c', '"$1" --dump "$2" | sha256sum', 'sh', testNix.nix.programs['nix-store'], folder],
      {
        env: testNix.nix.environment,
      },
    );
    const ours = createHash('sha256')
      .update(await whole(writeNar(folder)))
      .digest('hex');
    expect(stdout.slice(0, 64)).toBe(ours);
  });
});
