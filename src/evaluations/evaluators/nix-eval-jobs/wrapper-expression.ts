/**
 * The tree of a repository in a form in which nix-eval-jobs, whose own rules differ, finds exactly
 * the jobs of the Hercules rules. Everything is lazy: a node is looked at when nix-eval-jobs asks.
 *
 * - The root is one level down, at `r`: an error there is an ordinary line instead of a dead process.
 * - What is not to be walked is `{ }`, which is silent in every version (null is not).
 * - Names are encoded, since numbers, quotes, dots and the empty name have meanings in its paths.
 * - A job is a derivation of the barest kind, with nothing of the user's that could throw when it is
 *   looked at: its outPath is its drvPath. Outputs and system are read from the .drv file later.
 * - Marks and limits travel in `meta`, which every version can print. Where looking for the limits fails,
 *   so does the job, in words that begin like {@link limitsFailed}: it is asked for again without them.
 */
import { nixString } from '../nix-literals.ts';
import { type RootExpression, traversalDepth, traversalRules } from '../traversal-rules.ts';

/** Characters of names that mean something in attribute paths, or make messages hard to read back. */
const encoded = ['%', '.', '"', "'", '\\', '$', ' ', '\n', '\r', '\t'] as const;

/** The name of the root in the wrapped tree. */
export const wrappedRoot = 'r';

export interface WrapperExpression extends RootExpression {
  /** Begins the failures of the rules and what they trace. */
  readonly nonce: string;
  /** A JSON file: {@link Exceptions}. */
  readonly exceptionsFile?: string;
}

/** Paths of the wrapped tree, each `r._name._name`, that are not walked as all others are. */
export interface Exceptions {
  /** Left out. */
  readonly skip: readonly string[];
  /** Whose meta is not looked at. */
  readonly bare: readonly string[];
}

/** In the trace of an error, behind the nonce: it comes from looking for the limits of a job. */
export const limitsFailed = 'limits';

/** The expression for `nix-eval-jobs --expr`. */
export function wrapperExpression(wanted: WrapperExpression): string {
  const exceptions = wanted.exceptionsFile
    ? `builtins.fromJSON (builtins.readFile ${nixString(wanted.exceptionsFile)})`
    : '{ skip = [ ]; bare = [ ]; }';
  return `let
  nonce = ${nixString(wanted.nonce)};
${traversalRules(wanted)}
  exceptions = ${exceptions};
  namesIn = names: builtins.listToAttrs (map (name: { inherit name; value = null; }) names);
  skipped = namesIn exceptions.skip;
  bare = namesIn exceptions.bare;

  encode = name: "_" + builtins.replaceStrings
    [ ${encoded.map(nixString).join(' ')} ]
    [ ${encoded.map((character) => nixString(percent(character))).join(' ')} ]
    name;

  show = path: value: found: {
    type = "derivation";
    inherit (found) name drvPath;
    outPath = found.drvPath;
    system = "of the derivation";
    meta = { inherit (found) mark; } // (if value ? meta && !(bare ? \${path}) then limitsIn value else { });
  };

  limitsIn = value:
    let
      limits = builtins.addErrorContext (nonce + ${nixString(limitsFailed)}) (limitsOf value);
    in
    if limits == { } then { } else { inherit limits; };

  tree = depth: always: path: value:
    let
      kind = classify value;
    in
    if kind == "derivation" then show path value (job value)
    else if kind == "functor" then if depth > 0 then tree (depth - 1) true path (step value) else { }
    else if kind == "set" && (always || flagged value) && depth > 0 then
      let names = builtins.attrNames value; in
      builtins.listToAttrs (map (child depth path value (showing names)) names)
      // { recurseForDerivations = true; }
    else { };

  child = depth: path: set: shown: name:
    let
      encoded = encode (shown name);
      here = path + "." + encoded;
    in
    {
      name = encoded;
      value = if skipped ? \${here} then { } else tree (depth - 1) false here set.\${name};
    };
in
{
  recurseForDerivations = true;
  ${wrappedRoot} = tree ${traversalDepth} true ${nixString(wrappedRoot)} root;
}
`;
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/** The repository's attribute path for a path of the wrapped tree, or undefined for any other path. */
export function unwrapPath(wrapped: readonly string[]): readonly string[] | undefined {
  const [root, ...names] = wrapped;
  if (root !== wrappedRoot || names.some((name) => !name.startsWith('_'))) return undefined;
  return names.map((name) =>
    name
      .slice(1)
      .replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
  );
}
