import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cleanError, cutMessage } from './locations.ts';

const limit = 64 * 1024;
const clean = (text: string) => cleanError(text, '/tmp/checkout', limit);

test('what lies beside the checkout is written as seen from it, and nothing of where checkouts lie remains', () => {
  const text =
    "error: access to absolute path '/var/lib/data/checkouts/8' is forbidden; not /srv/var/lib/data/x, not /var/lib";
  expect(cleanError(text, '/var/lib/data/checkouts/7', limit).message).toBe(
    "error: access to absolute path '../8' is forbidden; not /srv/var/lib/data/x, not /var/lib",
  );
});

describe('where the error is', () => {
  test('Nix 2.8: the place after the error, not the frames behind it', () => {
    const text = `error: attribute 'foo' missing

       at /tmp/checkout/lib/x.nix:3:12:

            2| let
            3|   a = { }.foo;
             |       ^

       … while evaluating the attribute 'h'

       at /tmp/checkout/ci.nix:7:1:`;
    expect(clean(text).location).toEqual({ file: 'lib/x.nix', line: 3, column: 12 });
  });

  test('newer Nix: the last frame in the repository before the error', () => {
    const text = `error:
       … while evaluating the attribute 'a'
         at /tmp/checkout/ci.nix:2:3:
            1| {
            2|   a = import ./lib.nix;
             |   ^

       … while calling the 'throw' builtin
         at /tmp/checkout/lib.nix:9:51:

       error: inner broken`;
    expect(clean(text).location).toEqual({ file: 'lib.nix', line: 9, column: 51 });
  });

  test('newer Nix: the place after the error counts before the frames', () => {
    const text = `error:
       … while evaluating the attribute 'a'
         at /tmp/checkout/ci.nix:2:3:

       error: undefined variable 'b'
       at /tmp/checkout/other.nix:4:5:`;
    expect(clean(text).location).toEqual({ file: 'other.nix', line: 4, column: 5 });
  });

  test('places outside the repository are passed over', () => {
    const text = `error: bad

       at /nix/store/00000000000000000000000000000000-nixpkgs/lib/x.nix:1:1:

       … while evaluating

       at /tmp/checkout/ci.nix:5:6:

       at /tmp/checkout-of-somebody-else/ci.nix:1:1:`;
    expect(clean(text).location).toEqual({ file: 'ci.nix', line: 5, column: 6 });
  });

  test('a message without a place has none', () => {
    expect(clean('error: stack overflow (possible infinite recursion)')).toEqual({
      message: 'error: stack overflow (possible infinite recursion)',
    });
  });

  test('file names with spaces and colons are read whole', () => {
    expect(clean('error: x\n\n  at /tmp/checkout/a b/c:1.nix:3:4:').location).toEqual({
      file: 'a b/c:1.nix',
      line: 3,
      column: 4,
    });
  });
});

describe('what the message says', () => {
  test('colours and absolute paths are gone', () => {
    const { message } = clean(
      "\u001b[31;1merror:\u001b[0m getting status of '/tmp/checkout/sub/no.nix' in '/tmp/checkout'",
    );
    expect(message).toBe("error: getting status of 'sub/no.nix' in '.'");
  });

  test('another folder whose name begins the same stays as it is', () => {
    expect(clean("error: '/tmp/checkout-2/x' is forbidden").message).toContain('/tmp/checkout-2/x');
  });

  test('frames of the expressions that walk the tree are not shown', () => {
    const { message } = clean(`error:
       … while calling the 'trace' builtin
         at «stdin»:12:3:
           11|   say = kind: record: next: builtins.trace
           12|   x
             |   ^

       … while evaluating the attribute 'a'
         at /tmp/checkout/ci.nix:2:3:
            1| {
            2|   a = throw "b";

       error: b`);
    expect(message).not.toMatch(/trace|stdin|record/);
    expect(message).toMatch(/while evaluating the attribute 'a'.*2\| {3}a = throw "b";.*error: b$/s);
  });

  test('where frames come first, the end of a long message is kept', () => {
    const frames = "       … while calling 'f'\n".repeat(5000);
    const { message } = cleanError(`error:\n${frames}\n       error: the reason`, '/tmp/checkout', 500);
    expect(message).toMatch(/the reason$/);
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(500);
  });

  test('where the error comes first, the beginning is kept', () => {
    const message = cutMessage(`error: the reason\n${'at x\n'.repeat(1000)}`, 100);
    expect(message).toMatch(/^error: the reason/);
  });

  test('a cut message never has more bytes than it may and no torn character', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 50 }),
        fc.boolean(),
        fc.integer({ min: 40, max: 120 }),
        (text, framesFirst, bytes) => {
          const cut = cutMessage((framesFirst ? 'error:\n' : 'error: ') + text, bytes);
          expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(bytes);
          expect(Buffer.from(cut).toString('utf8')).toBe(cut);
          expect(cut).not.toContain('\ufffd');
        },
      ),
    );
  });
});
