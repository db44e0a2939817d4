/**
 * Names of attributes as texts, a part of the traversal rules. In Nix a name is any bytes, such as the
 * name of a file in an old encoding; JSON, databases and pages hold text. Newer versions of Nix fail
 * where such a name is made JSON, older ones pass the bytes on.
 */
import { nixString } from './nix-literals.ts';

/**
 * `let` binding: `showing`, which makes of the names of one set the function from each to its text. What
 * is not UTF-8 is shown with U+FFFD for all that is not ASCII, and a hash, since two may differ there alone.
 */
export const nameRules = `
  showing = names:
    # Most sets have nothing but ASCII, which one look at all names together tells.
    if isAscii (builtins.concatStringsSep "" names) then (name: name)
    else name: if isAscii name || isText name then name else
      builtins.concatStringsSep (builtins.fromJSON ${jsonOf([0xfffd])})
        (builtins.filter builtins.isString (builtins.split "[^ -~]" name))
      + " (" + builtins.substring 0 8 (builtins.hashString "sha256" name) + ")";

  isAscii = text: builtins.length (builtins.split "[^ -~]" text) == 1;

  isText = name: "start" == builtins.foldl'
    (state: index: utf8.\${state}.\${builtins.substring index 1 name} or "bad") "start"
    (builtins.genList (index: index) (builtins.stringLength name));

  # State -> byte -> state. No byte can be written down that is not a part of a character.
  utf8 =
    let
      bytes = sample: width: at:
        builtins.genList (index: builtins.substring (index * width + at) 1 sample)
          (builtins.stringLength sample / width);
      all = state: names: builtins.listToAttrs (map (name: { inherit name; value = state; }) names);
      later = bytes (builtins.fromJSON ${jsonOf(range(0x80, 64))}) 2 1;
      some = from: count: state: all state (builtins.genList (index: builtins.elemAt later (from + index)) count);
      ofThree = bytes (builtins.fromJSON ${jsonOf([0x800, ...range(0x1000, 15, 0x1000)])}) 3 0;
      ofFour = bytes (builtins.fromJSON ${jsonOf([0x10000, ...range(0x40000, 4, 0x40000)])}) 4 0;
    in
    {
      start =
        all "start" (bytes (builtins.fromJSON ${jsonOf(range(1, 127))}) 1 0)
        // all "one" (bytes (builtins.fromJSON ${jsonOf(range(0x80, 30, 0x40))}) 2 0)
        // all "two" ofThree // all "three" ofFour
        // {
          # Not shorter than need be, no halves of pairs, and nothing behind the last character.
          \${builtins.elemAt ofThree 0} = "E0";
          \${builtins.elemAt ofThree 13} = "ED";
          \${builtins.elemAt ofFour 0} = "F0";
          \${builtins.elemAt ofFour 4} = "F4";
        };
      one = some 0 64 "start";
      two = some 0 64 "one";
      three = some 0 64 "two";
      E0 = some 32 32 "one";
      ED = some 0 32 "one";
      F0 = some 16 48 "two";
      F4 = some 0 16 "two";
      bad = { };
    };
`;

function range(from: number, count: number, step = 1): readonly number[] {
  return Array.from({ length: count }, (_, index) => from + index * step);
}

/** The characters as JSON in ASCII, as a Nix string: what runs the rules may read nothing else. */
function jsonOf(codePoints: readonly number[]): string {
  const units = String.fromCodePoint(...codePoints).split('');
  const escapes = units.map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return nixString(`"${escapes.join('')}"`);
}
