import fc from 'fast-check';
import { expect, test } from 'vitest';
import { secretsOf } from './redactor.ts';

const token = 'ghs_16C7e42F292c6912E7710c838347Ae178B4a';
const pem =
  '-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA1abc\nqqqqqqqqqqqqqqqq=\n-----END RSA PRIVATE KEY-----\n';

function redact(values: readonly string[], text: string): string {
  return secretsOf(values).redact(Buffer.from(text)).toString('utf8');
}

test.each([
  ['as it is', token],
  ['in base64', Buffer.from(token).toString('base64')],
  ['in the base64 of a login', Buffer.from(`x-access-token:${token}`).toString('base64')],
  ['in base64 for URLs', Buffer.from(`?${token}?`).toString('base64url')],
])('a token is taken out %s', (_, written) => {
  const out = redact([token], `before ${written} after`);
  expect(out).toMatch(/^before .*\*\*\*.* after$/);
  expect(out).not.toContain(token);
  // Only the few characters that its neighbours have a part in are left of the encoded forms.
  expect(out.length).toBeLessThan('before  after'.length + 34);
});

test('what JSON and URLs make of a secret is taken out, too', () => {
  const secret = 'pass"word/with\\ümlaut';
  for (const form of [JSON.stringify(secret), encodeURIComponent(secret)]) {
    expect(redact([secret], `<${form}>`)).toMatch(/^<"?\*\*\*"?>$/);
  }
});

test('of a private key every line is taken out, and what any key begins with is not', () => {
  const out = redact([pem], `see:\n${pem}and ${JSON.stringify(pem)}`);
  expect(out).not.toMatch(/MIIEow|qqqq/);
  expect(out).toContain('see:\n-----BEGIN RSA PRIVATE KEY-----\n***\n***\n-----END');
});

test('short words are no secrets, and without secrets nothing changes', () => {
  expect(redact(['abc', '', '\n'], 'abc abc')).toBe('abc abc');
  expect(secretsOf([]).redact(Buffer.from([0, 255, 10]))).toEqual(Buffer.from([0, 255, 10]));
});

const alphabet = fc.constantFrom('a', 'b', '\n', '\u{fffd}', '"');
const word = fc.string({ unit: alphabet, minLength: 6, maxLength: 12 });

test('no way to cut a stream changes what comes out, and no secret comes out', () => {
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 1, maxLength: 3 }),
      fc.array(fc.oneof(word, fc.nat(2)), { maxLength: 12 }),
      fc.array(fc.nat(9), { maxLength: 60 }),
      (values, parts, cuts) => {
        // Secrets among other words, also overlapping ones.
        const text = parts.map((part) => (typeof part === 'number' ? (values[part] ?? 'b') : part)).join('');
        const secrets = secretsOf(values);
        const whole = secrets.redact(Buffer.from(text));
        const redactor = secrets.open();
        const out: Buffer[] = [];
        let rest = Buffer.from(text);
        for (const cut of cuts) {
          out.push(redactor.push(rest.subarray(0, cut)));
          rest = rest.subarray(cut);
        }
        out.push(redactor.push(rest), redactor.end());
        expect(Buffer.concat(out).toString('hex')).toBe(whole.toString('hex'));
        for (const line of values.flatMap((value) => value.split('\n')).map((line) => line.trim())) {
          if (Buffer.byteLength(line) >= 6) expect(whole.includes(line)).toBe(false);
        }
      },
    ),
  );
});
