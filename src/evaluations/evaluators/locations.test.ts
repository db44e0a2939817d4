import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cleanError, cutMessage } from './locations.ts';

const maxBytes = 64 * 1024;
const clean = (text: string) => cleanError(text, { checkout: '/tmp/checkout', maxBytes });

test('what lies beside the checkout is written as seen from it, and nothing of where checkouts lie remains', () => {
  const text =
    "error: access to absolute path '/var/lib/data/checkouts/8' is forbidden; not /srv/var/lib/data/x, not /var/lib";
  expect(cleanError(text, { checkout: '/var/lib/data/checkouts/7', maxBytes }).message).toBe(
    "error: access to absolute path '../8' is forbidden; not /srv/var/lib/data/x, not /var/lib",
  );
});

describe('where the error is', () => {
  test('at the ends of a text, however long and full of what looks like places it is', () => {
    const { message, location } = clean(
      `error:\n       … while\n\n       error:${' at /tmp/checkout/'.repeat(2_000_000)}\n       at /tmp/checkout/ci.nix:1:2:`,
    );
    expect(location).toEqual({ file: 'ci.nix', line: 1, column: 2 });
    expect(message).toMatch(/^error: at /);
  });

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

  test('a place that the words name counts before the frames, but not where a name was defined first', () => {
    const missing = `error: evaluation aborted with the following error message: 'required argument "x" at /tmp/checkout/pkgs/tool.nix:2'

       … from call site
       at /tmp/checkout/ci.nix:2:10:`;
    expect(clean(missing).location).toEqual({ file: 'pkgs/tool.nix', line: 2 });
    const twice = `error: attribute 'a' already defined at /tmp/checkout/ci.nix:2:3

       at /tmp/checkout/ci.nix:4:3:`;
    expect(clean(twice).location).toEqual({ file: 'ci.nix', line: 4, column: 3 });
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
    expect(message).toMatch(/^error: b\n.*while evaluating the attribute 'a'.*2\| {3}a = throw "b";$/s);
  });

  test('whatever Nix prints first, the cause leads, then what to do, then the way there from the inside out', () => {
    const text = `error:
       … while evaluating the attribute 'outer'
         at /tmp/checkout/ci.nix:2:3:
            1| {
            2|   a = import ./lib.nix;
             |   ^

       … while calling the 'throw' builtin
         at /tmp/checkout/lib.nix:9:51:
       (4991 duplicate frames omitted)

       error: broken
       error: in two lines
       at /tmp/checkout/lib.nix:9:51:`;
    const { message } = cleanError(text, { checkout: '/tmp/checkout', maxBytes, advise: () => 'mend it' });
    expect(message).toBe(`error: broken
       error: in two lines
       at lib.nix:9:51:

help: mend it

       … while calling the 'throw' builtin
         at lib.nix:9:51:
       (4991 duplicate frames omitted)

       … while evaluating the attribute 'outer'
         at ci.nix:2:3:
            1| {
            2|   a = import ./lib.nix;
             |   ^`);
  });

  test('a long message keeps its cause, whatever Nix prints first', () => {
    const frames = "       … while calling 'f'\n".repeat(5000);
    for (const text of [`error:\n${frames}\n       error: the reason`, `error: the reason\n\n${frames}`]) {
      const { message } = cleanError(text, { checkout: '/tmp/checkout', maxBytes: 500 });
      expect(message).toMatch(/^error: the reason/);
      expect(Buffer.byteLength(message)).toBeLessThanOrEqual(500);
    }
  });

  test('frames may hold words that look like an error, and marks of our own are gone', () => {
    const { message } = clean(`error:
       … a context
       error: that is none

       … ringmaster-0123456789abcdef0123456789abcdef:argument

       error: the real one`);
    expect(message).toBe(`error: the real one

       … a context
       error: that is none`);
  });

  test('carets stand below what they mean, also behind tabs and wide characters', () => {
    const { message, location } = clean(`error: attribute 'c' missing

       at /tmp/checkout/ci.nix:2:23:

            1| {
            2| \ta = "ü日本🦭" + { }.c;
             |                       ^`);
    expect(message).toMatch(/ 2\| {3}a = "ü日本🦭" \+ \{ \}\.c;\n +\| {19}\^$/);
    expect(location).toEqual({ file: 'ci.nix', line: 2, column: 16 });
  });

  test('a cut message never has more bytes than it may and no torn character', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 50 }),
        fc.integer({ min: 40, max: 120 }),
        (text, bytes) => {
          const cut = cutMessage(`error: ${text}`, bytes);
          expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(bytes);
          expect(Buffer.from(cut).toString('utf8')).toBe(cut);
          expect(cut).not.toContain('\ufffd');
        },
      ),
    );
  });
});
