import { expect, test } from 'vitest';
import { withoutSecrets } from './without-secrets.ts';

async function passed(chunks: readonly string[], secrets: readonly string[]): Promise<string> {
  async function* content() {
    for (const chunk of chunks) yield Buffer.from(chunk);
  }
  let text = '';
  const buffers = secrets.map((secret) => Buffer.from(secret));
  for await (const chunk of withoutSecrets(content(), buffers, 'conf')) text += chunk.toString();
  return text;
}

test('content passes as it came', async () => {
  expect(await passed(['a secr', 'et', '', ' of nobody'], ['topsecret', 'x'.repeat(100)])).toBe(
    'a secret of nobody',
  );
});

test('a secret ends it, wherever chunks begin', async () => {
  const text = 'machine a password topsecret\n';
  for (let size = 1; size <= text.length; size += 1) {
    const chunks = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
    await expect(passed(chunks, ['longer-than-that', 'topsecret'])).rejects.toThrow(`'conf' holds a secret`);
  }
});
