/**
 * The traversal rules of the Hercules CI document as Nix functions, shared by both evaluators so
 * that they cannot disagree. The text is a sequence of `let` bindings; it needs nothing but builtins
 * and works from Nix 2.8 on.
 *
 * What is forced, and when, is part of the rules: a value nobody asked for may throw or never end.
 *   root     the file's value; then, for a set, its `type`
 *   node     the value, then `type` of a set, then `recurseForDerivations` of a set that is neither
 *            a derivation nor a functor nor the root nor a functor's result
 *   job      `name`, `drvPath` and the marks; never `outPath`, `outputs` or `system`
 *   limits   `meta` and three attributes of it, after all that makes it a job: whatever happens
 *            there, it is a job, and a limit that is not a good number is not set
 */
import type { SourceArgument } from '../events.ts';
import { type FlakeRoot, flakeRoot } from './flakes/flake-root.ts';
import { nameRules } from './name-rules.ts';
import { nixOptionalString, nixString } from './nix-literals.ts';
import { argumentMissing } from './rule-failures.ts';

/** Attributes and functor calls from the root to a job, at most. */
export const traversalDepth = 10;

/** What follows the nonce in the trace that says that `src` was asked for the commit. */
export const commitUsed = 'Cnull';

export interface RootExpression {
  /** Absolute path of the file to evaluate. */
  readonly file: string;
  /** Absolute path of the checkout. */
  readonly checkout: string;
  readonly source: SourceArgument;
  /** The flake to evaluate instead of the file. */
  readonly flake?: FlakeRoot;
}

/**
 * `let` bindings: `classify`, `step`, `flagged`, `job`, `limitsOf`, `showing` and, for one evaluation, `root`. In scope must be
 * `nonce`: unguessable; begins the messages with which the rules themselves fail (`rule-failures.ts`).
 */
export function traversalRules(root: RootExpression): string {
  return `${rules}${nameRules}
  fail = words: throw (nonce + words);

  # Tells that the result depends on which commit it is, and not on its files alone.
  ofCommit = builtins.trace (nonce + ${nixString(commitUsed)});

  # What an argument pattern at the root may ask for as src. A copy of the checkout without git's own
  # files, as a fetched source would be; lazy, so only an evaluation that uses it pays for it.
  src = {
    outPath = builtins.path {
      path = ${nixString(root.checkout)};
      name = "source";
      filter = path: _: path != ${nixString(`${root.checkout}/.git`)};
    };
${sourceAttributes(root.source)}
  };

  # A derivation is a job even when it is a functor, at the root as anywhere else.
  root =${root.flake ? flakeRoot(root.flake) : fileRoot(root.file)};
`;
}

/** The value of a file, called as far as it is a function. */
function fileRoot(file: string): string {
  return `
    let
      file = import ${nixString(file)};
      value = if isDerivation file then file else autoCall { inherit src; } file;
    in
    if builtins.isAttrs value then value else fail ("root:" + builtins.typeOf value)`;
}

function sourceAttributes(source: SourceArgument): string {
  const tag = source.ref.startsWith('refs/tags/') ? source.ref.slice('refs/tags/'.length) : undefined;
  const attributes: Record<string, string> = {
    rev: nixString(source.rev),
    shortRev: nixString(source.rev.slice(0, 7)),
    ref: nixString(source.ref),
    branch: nixOptionalString(source.branch),
    tag: nixOptionalString(tag),
    owner: nixOptionalString(source.owner),
    name: nixOptionalString(source.name),
    remoteHttpUrl: nixOptionalString(source.remoteHttpUrl),
  };
  return Object.entries(attributes)
    .map(([name, value]) => `    ${name} = ofCommit ${value};`)
    .join('\n');
}

const rules = `
  isDerivation = value: builtins.isAttrs value && value ? type && value.type == "derivation";

  # Forced twice: what builtins.break of newer versions gives is a value that nobody has looked at yet.
  classify = value:
    if !(builtins.isAttrs (builtins.seq value value)) then "leaf"
    else if isDerivation value then "derivation"
    else if value ? __functor then "functor"
    else "set";

  # Only exactly true counts.
  flagged = set: set ? recurseForDerivations && set.recurseForDerivations == true;

  # The attributes of the XML element that stands for an argument pattern ({ ... }:), or null for any
  # other function. builtins.functionArgs gives { } for both "{ }:" and "x:", and they differ here.
  patternOf = function:
    let
      parts = builtins.split "<attrspat([^>]*)>"
        (builtins.unsafeDiscardStringContext (builtins.toXML function));
    in
    if builtins.length parts == 1 then null else builtins.head (builtins.elemAt parts 1);

  # Calls a function that has an argument pattern, with those arguments that it names (all of them
  # if it has an ellipsis). Anything else is left as it is.
  callPattern = arguments: value:
    let
      pattern = patternOf value;
      ellipsis = builtins.length (builtins.split "ellipsis=" pattern) > 1;
      passed = if ellipsis then arguments else builtins.intersectAttrs (builtins.functionArgs value) arguments;
    in
    if builtins.isFunction value && pattern != null then value passed else value;

  # What Nix does with the value of a file: functors are called until none is left, then a pattern
  # function is called once. Nix says which argument it misses, and the mark that it was this call.
  autoCall = arguments: value:
    let
      defaults = builtins.removeAttrs (builtins.functionArgs value) (builtins.attrNames arguments);
      called = callPattern arguments value;
    in
    if builtins.isAttrs value && value ? __functor
    then autoCall arguments (value.__functor value)
    else if builtins.isFunction value && builtins.elem false (builtins.attrValues defaults)
    then builtins.addErrorContext (nonce + ${nixString(argumentMissing)}) called
    else called;

  # One functor call below the root: the depth counts these, so each is a step of its own.
  step = functor: callPattern { } (functor.__functor functor);

  markOf = drv:
    let
      phases = drv.phases or null;
    in
    if (drv.isEffect or null) == true then "effect"
    else if (drv.buildDependenciesOnly or null) == true then "dependencies-only"
    # How mkShell used to be recognised.
    else if builtins.isList phases && builtins.length phases == 1 && builtins.head phases == "nobuildPhase"
    then "dependencies-only"
    else if (drv.ignoreFailure or null) == true then "may-fail"
    else if (drv.requireFailure or null) == true then "must-fail"
    else "regular";

  # Forces what a job needs. The .drv file is written when drvPath is forced.
  job = drv:
    let
      text = name: value:
        if builtins.isString value then builtins.unsafeDiscardStringContext value
        else fail ("job-attribute:" + name + ":" + builtins.typeOf value);
      name = text "name" drv.name;
      drvPath = text "drvPath" drv.drvPath;
      mark = markOf drv;
    in
    builtins.seq name (builtins.seq drvPath (builtins.seq mark { inherit name drvPath mark; }));

  # Those of a derivation that has a meta. Of what can go wrong in there only throw and assert are caught here.
  limitsOf = drv:
    let
      limit = name: attribute: least:
        let
          found = builtins.tryEval (
            let value = drv.meta.\${attribute} or null;
            in if builtins.isInt value && least <= value && value <= 2147483647 then value else null
          );
        in
        if found.success && found.value != null then [ { inherit name; inherit (found) value; } ] else [ ];
    in
    builtins.listToAttrs (
      limit "timeoutSeconds" "timeout" 1
      ++ limit "maxSilentSeconds" "maxSilent" 1
      ++ limit "priority" "schedulingPriority" (-2147483648)
    );
`;
