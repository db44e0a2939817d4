/**
 * The traversal rules as a table of small repositories. Each line says which sentence it checks:
 * of the Hercules CI document, or of what the product decided where that leaves room.
 *
 * In every expression these are in scope:
 *   d NAME        a derivation
 *   walk SET      SET with recurseForDerivations = true
 */
// One line a case reads best, and ${} in the cases is Nix's:
// biome-ignore-all format: a table
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Nix
import type { JobLimits, JobMark } from '../../src/evaluations/index.ts';

export type Path = readonly string[];

export interface Expectation {
  readonly jobs?: readonly Path[];
  /** Path and, where they matter, words of the message, and the place. */
  readonly errors?: readonly (Path | readonly [Path, RegExp, place?: string])[];
}

/** One value below the root of a repository; paths are relative to it. */
export interface NodeCase extends Expectation {
  readonly checks: string;
  readonly value: string;
  /** Of the jobs; default none. */
  readonly limits?: JobLimits;
  /** Of the jobs; default regular. */
  readonly mark?: JobMark;
}

/** A whole repository. */
export interface TreeCase extends Expectation {
  readonly checks: string;
  /** The text of ci.nix, or files by name. A text that begins with `-> ` is a symbolic link. */
  readonly files: string | Readonly<Record<string, string>>;
  /** The file that is chosen; default ci.nix. */
  readonly file?: string;
  readonly trusted?: boolean;
  readonly notice?: RegExp;
}

const here: Path = [];

export const nodeCases: readonly NodeCase[] = [
  // A derivation.
  { checks: 'a derivation is a job', value: 'd "a"', jobs: [here] },
  { checks: 'what has the type derivation is one job, its child sets are not visited', value: 'd "a" // { x = d "x"; recurseForDerivations = true; }', jobs: [here] },
  { checks: 'a derivation with a functor is a job and is not called', value: 'd "a" // { __functor = _: throw "called"; }', jobs: [here] },
  { checks: 'outPath, outputs, meta and system of a derivation are not forced', value: 'd "a" // { outPath = throw "o"; outputs = throw "o"; meta = throw "m"; system = throw "s"; }', jobs: [here] },
  { checks: 'every output is listed, under one job', value: 'derivation { name = "two"; system = "x86_64-linux"; builder = "/bin/sh"; outputs = [ "out" "dev" ]; }', jobs: [here] },
  { checks: 'one output of a derivation is a job like the derivation', value: '(derivation { name = "two"; system = "x86_64-linux"; builder = "/bin/sh"; outputs = [ "out" "dev" ]; }).dev', jobs: [here] },
  { checks: 'a derivation for another platform is a job', value: 'derivation { name = "arm"; system = "aarch64-linux"; builder = "/bin/sh"; }', jobs: [here] },
  { checks: 'a type that throws is an error of the set', value: '{ type = throw "typed"; }', errors: [[here, /typed/]] },
  { checks: 'a type that is something else than the string is an ordinary attribute', value: 'walk { type = { }; a = d "a"; }', jobs: [['a']] },
  { checks: 'another type string does not make a derivation', value: 'walk { type = "Derivation"; a = d "a"; }', jobs: [['a']] },
  { checks: 'a derivation without a name is an error', value: '{ type = "derivation"; drvPath = (d "a").drvPath; }', errors: [[here, /name/]] },
  { checks: 'a name that is no string is an error', value: '{ type = "derivation"; name = 1; drvPath = (d "a").drvPath; }', errors: [[here, /'name'.*a number/]] },
  { checks: 'a derivation without a drvPath is an error', value: '{ type = "derivation"; name = "x"; }', errors: [[here, /drvPath/]] },
  { checks: 'a drvPath that is no derivation of the store is an error', value: '{ type = "derivation"; name = "x"; drvPath = "/nix/store/00000000000000000000000000000000-x.drv"; }', errors: [here] },
  { checks: 'a drvPath that is no string is an error, whatever it is', value: 'walk { n = { type = "derivation"; name = "x"; drvPath = 1; }; p = { type = "derivation"; name = "x"; drvPath = ./ci.nix; }; s = { type = "derivation"; name = "x"; drvPath = { outPath = (d "a").drvPath; }; }; z = d "z"; }', jobs: [['z']], errors: [[['n'], /'drvPath'.*a number/], [['p'], /'drvPath'.*a path/], [['s'], /'drvPath'/]] },
  { checks: 'a drvPath that leads out of the store or to an output is an error', value: String.raw`walk { n = { type = "derivation"; name = "x"; drvPath = "/nix/store/../../etc/passwd.drv"; }; o = { type = "derivation"; name = "x"; drvPath = (d "a").outPath; }; b = { type = "derivation"; name = "x"; drvPath = (d "a").drvPath + "!out"; }; l = { type = "derivation"; name = "x"; drvPath = (d "a").drvPath + "\n.drv"; }; z = d "z"; }`, jobs: [['z']], errors: [['n'], ['o'], ['b'], ['l']] },
  { checks: 'a drvPath without its context is a job', value: '{ type = "derivation"; name = "x"; drvPath = builtins.unsafeDiscardStringContext (d "a").drvPath; }', jobs: [here] },
  { checks: 'outputs that cannot be are errors of their jobs', value: 'let o = outputs: derivation { name = "o"; system = "x86_64-linux"; builder = "/bin/sh"; inherit outputs; }; in walk { none = o [ ]; twice = o [ "out" "out" ]; word = o "out"; up = o [ "out" "../x" ]; z = d "z"; }', jobs: [['z']], errors: [['none'], ['twice'], ['word'], ['up']] },
  { checks: 'a drvPath that fails is an error', value: 'derivation { name = "nobuilder"; system = "x86_64-linux"; }', errors: [[here, /builder/]] },
  { checks: 'the built-in <nix/fetchurl.nix> makes a job and fetches nothing', value: 'import <nix/fetchurl.nix> { url = "https://unreachable.invalid/x"; sha256 = "0000000000000000000000000000000000000000000000000000"; }', jobs: [here] },
  { checks: 'an output may have a name that means something elsewhere', value: 'derivation { name = "proto"; system = "x86_64-linux"; builder = "/bin/sh"; outputs = [ "out" "__proto__" "constructor" ]; }', jobs: [here] },
  { checks: 'a type that throws is an error of a functor too, which is not called', value: '{ type = throw "typed"; __functor = self: throw "called"; }', errors: [[here, /typed/]] },
  { checks: 'a derivation that stops in a debugger is a job where there is none', value: 'let stop = builtins.break or (x: x); in walk { a = stop (d "a"); b = stop (walk { c = d "c"; }); }', jobs: [['a'], ['b', 'c']] },
  // Its marks; the first that matches counts.
  { checks: 'an effect', value: 'd "a" // { isEffect = true; ignoreFailure = true; }', jobs: [here], mark: 'effect' },
  { checks: 'only the dependencies are wanted', value: 'd "a" // { buildDependenciesOnly = true; requireFailure = true; }', jobs: [here], mark: 'dependencies-only' },
  { checks: 'an old mkShell, of which only the dependencies are wanted', value: 'd "a" // { phases = [ "nobuildPhase" ]; ignoreFailure = true; }', jobs: [here], mark: 'dependencies-only' },
  { checks: 'it may fail', value: 'd "a" // { ignoreFailure = true; requireFailure = true; }', jobs: [here], mark: 'may-fail' },
  { checks: 'it must fail', value: 'd "a" // { requireFailure = true; }', jobs: [here], mark: 'must-fail' },
  { checks: 'marks of another type than they should be are not set', value: 'd "a" // { isEffect = "true"; buildDependenciesOnly = 1; phases = "nobuildPhase"; ignoreFailure = null; requireFailure = { }; }', jobs: [here] },
  { checks: 'an effect of which only the dependencies are wanted is an effect', value: 'd "a" // { isEffect = true; buildDependenciesOnly = true; }', jobs: [here], mark: 'effect' },
  { checks: 'one phase of another name is no mark', value: 'd "a" // { phases = [ "buildPhase" ]; }', jobs: [here] },
  { checks: 'two phases are no mark', value: 'd "a" // { phases = [ "nobuildPhase" "x" ]; }', jobs: [here] },
  { checks: 'a mark that throws is an error', value: 'd "a" // { isEffect = throw "marked"; }', errors: [[here, /marked/]] },
  // What its meta asks of the build.
  { checks: 'the limits of a job are those of its meta', value: 'd "a" // { meta = { timeout = 60; maxSilent = 7; schedulingPriority = -5; description = throw "d"; }; }', jobs: [here], limits: { timeoutSeconds: 60, maxSilentSeconds: 7, priority: -5 } },
  { checks: 'a limit that is no good number is not set', value: 'd "a" // { meta = { timeout = "60"; maxSilent = 0; schedulingPriority = 3000000000; }; }', jobs: [here] },
  { checks: 'a limit that throws is not set, and the others are', value: 'd "a" // { meta = { timeout = throw "t"; maxSilent = 1.5; schedulingPriority = 2; }; }', jobs: [here], limits: { priority: 2 } },
  { checks: 'a meta that throws fails no job', value: 'd "a" // { meta = throw "m"; }', jobs: [here] },
  { checks: 'a meta that is no set fails no job', value: 'd "a" // { meta = 1; }', jobs: [here] },
  { checks: 'a meta that aborts fails no job', value: 'd "a" // { meta = abort "m"; }', jobs: [here] },
  { checks: 'a limit of which nothing can come fails no job', value: 'd "a" // { meta = { timeout = { }.missing; }; }', jobs: [here] },
  { checks: 'a meta that never ends fails no job', value: 'd "a" // { meta = let f = x: 1 + f x; in f 0; }', jobs: [here] },
  // A functor.
  { checks: 'a functor is called and its result walked without a flag', value: '{ __functor = self: { a = d "a"; }; }', jobs: [['a']] },
  { checks: 'all other attributes of a functor are ignored', value: '{ b = throw "b"; recurseForDerivations = throw "flag"; __functor = self: { a = d "a"; }; }', jobs: [['a']] },
  { checks: 'a functor that gives a derivation is a job under its own path', value: '{ __functor = self: d "a"; }', jobs: [here] },
  { checks: 'a functor gets itself', value: '{ n = "own"; __functor = self: { ${self.n} = d "a"; }; }', jobs: [['own']] },
  { checks: 'what a functor returns is called when it has a pattern whose arguments have defaults', value: '{ __functor = self: { n ? "x" }: { ${n} = d "a"; }; }', jobs: [['x']] },
  { checks: 'a lambda left over from a functor is ignored', value: '{ __functor = self: x: throw "called"; }' },
  { checks: 'a functor that returns a functor is called on', value: '{ __functor = self: { __functor = self: { a = d "a"; }; }; }', jobs: [['a']] },
  { checks: 'a functor that returns itself ends silently at the depth limit', value: '{ __functor = self: self; }' },
  { checks: 'a functor that throws is an error', value: '{ __functor = self: throw "inside"; }', errors: [[here, /inside/]] },
  { checks: 'a functor whose pattern needs an argument is an error', value: '{ __functor = self: { needed }: d "a"; }', errors: [[here, /needed/]] },
  { checks: 'sets in the result of a functor need their own flags', value: '{ __functor = self: { s = { a = d "a"; }; t = walk { b = d "b"; }; }; }', jobs: [['t', 'b']] },
  { checks: 'a functor that gives a string is ignored', value: '{ __functor = self: "text"; }' },
  { checks: 'the result of a functor is walked even if its flag says no', value: '{ __functor = self: { recurseForDerivations = false; a = d "a"; }; }', jobs: [['a']] },
  { checks: 'the flag of the result of a functor is an ordinary child', value: '{ __functor = self: { recurseForDerivations = throw "odd"; a = d "a"; }; }', jobs: [['a']], errors: [[['recurseForDerivations'], /odd/]] },
  { checks: 'a functor whose __functor is no function is an error', value: '{ __functor = 3; a = d "a"; }', errors: [[here, /not a function/]] },
  { checks: 'a functor may be a functor itself', value: '{ __functor = { __functor = outer: self: { ${self.n} = d "a"; }; }; n = "own"; }', jobs: [['own']] },
  { checks: 'a functor may take itself by a pattern', value: '{ n = "own"; __functor = { n, ... }: { ${n} = d "a"; }; }', jobs: [['own']] },
  { checks: 'a functor whose pattern does not take it is an error', value: '{ __functor = { n ? 1 }: d "a"; }', errors: [[here, /__functor/]] },
  // An attribute set.
  { checks: 'a set with the flag is walked', value: 'walk { a = d "a"; b = d "b"; }', jobs: [['a'], ['b']] },
  { checks: 'a set without the flag is ignored, and nothing in it is forced', value: '{ a = d "a"; b = throw "b"; }' },
  { checks: 'the flag must be repeated in every layer', value: 'walk { s = { a = d "a"; }; t = walk { u = walk { b = d "b"; }; }; }', jobs: [['t', 'u', 'b']] },
  { checks: 'a flag that is false stops', value: '{ recurseForDerivations = false; a = d "a"; }' },
  { checks: 'a flag that is a number is not true', value: '{ recurseForDerivations = 1; a = d "a"; }' },
  { checks: 'a flag that is the string "true" is not true', value: '{ recurseForDerivations = "true"; a = d "a"; }' },
  { checks: 'a flag that is null is not true', value: '{ recurseForDerivations = null; a = d "a"; }' },
  { checks: 'a flag that throws is an error of the set', value: '{ recurseForDerivations = throw "flagged"; a = d "a"; }', errors: [[here, /flagged/]] },
  { checks: 'an empty set with the flag has no jobs', value: 'walk { }' },
  { checks: '_type has no meaning', value: 'walk { _type = "option"; a = d "a"; }', jobs: [['a']] },
  { checks: 'meta.hydraPlatforms is not read', value: 'd "a" // { meta.hydraPlatforms = [ ]; }', jobs: [here] },
  { checks: 'the same derivation under two names is two jobs', value: 'let a = d "a"; in walk { x = a; y = a; }', jobs: [['x'], ['y']] },
  { checks: 'the same set under two names is walked twice', value: 'let s = walk { a = d "a"; }; in walk { x = s; y = s; }', jobs: [['x', 'a'], ['y', 'a']] },
  { checks: 'a set that holds itself is walked to the depth limit and no further', value: 'let s = walk { inherit s; }; in s' },
  // Otherwise.
  { checks: 'a string is ignored', value: '"text"' },
  { checks: 'a number is ignored', value: '42' },
  { checks: 'null is ignored', value: 'null' },
  { checks: 'a boolean is ignored', value: 'true' },
  { checks: 'a path is ignored', value: './.' },
  { checks: 'a list is ignored, derivations in it too', value: '[ (d "a") ]' },
  { checks: 'a function below the root is never called', value: 'x: throw "called"' },
  { checks: 'a pattern function below the root is not called even if all arguments have defaults', value: '{ n ? 1 }: d "a"' },
  { checks: 'a built-in function is ignored', value: 'builtins.map' },
  // Names.
  { checks: 'names with dots are kept', value: 'walk { "a.b" = d "a"; "." = d "b"; }', jobs: [['a.b'], ['.']] },
  { checks: 'names that are numbers are names', value: 'walk { "1" = d "a"; "007" = walk { "0" = d "b"; }; }', jobs: [['1'], ['007', '0']] },
  { checks: 'an empty name is a name', value: 'walk { "" = d "a"; x = walk { "" = walk { "" = d "b"; }; }; }', jobs: [[''], ['x', '', '']] },
  { checks: 'quotes, backslashes and dollars in names survive', value: String.raw`walk { "\"" = d "a"; "'" = d "b"; "\\" = d "c"; "\${x}" = d "d"; }`, jobs: [['"'], ["'"], ['\\'], ['${x}']] },
  { checks: 'spaces, tabs and line ends in names survive', value: String.raw`walk { " " = d "a"; "a b" = d "b"; "\n" = d "c"; "\t\r" = d "d"; }`, jobs: [[' '], ['a b'], ['\n'], ['\t\r']] },
  { checks: 'percent signs and what looks encoded survive', value: 'walk { "%" = d "a"; "%2E" = d "b"; "_%2E." = d "c"; }', jobs: [['%'], ['%2E'], ['_%2E.']] },
  { checks: 'names in any script survive', value: 'walk { "ü" = d "a"; "日本" = d "b"; "🦭" = d "c"; }', jobs: [['ü'], ['日本'], ['🦭']] },
  { checks: 'names that mean something in JavaScript are names', value: 'walk { "__proto__" = d "a"; constructor = d "b"; toString = walk { "__proto__" = d "c"; hasOwnProperty = throw "own"; }; }', jobs: [['__proto__'], ['constructor'], ['toString', '__proto__']], errors: [[['toString', 'hasOwnProperty'], /own/]] },
  { checks: 'names that begin with dashes, and very long ones, are names', value: 'walk { "--help" = d "a"; "-" = d "b"; ${builtins.concatStringsSep "" (builtins.genList (_: "long") 500)} = d "c"; }', jobs: [['--help'], ['-'], ['long'.repeat(500)]] },
  // Half a character each: the bytes C3 and A9 of an é, and C3 28, which are none together.
  { checks: 'names that are no text are shown as far as they are, and their siblings go on', value: 'walk { ${builtins.substring 0 1 "é"} = d "a"; ${"x" + builtins.substring 1 1 "é"} = walk { a = d "b"; "é" = d "c"; }; ${builtins.substring 0 1 "é" + "("} = throw "half"; z = d "z"; }', jobs: [['\u{fffd} (ae3f4619)'], ['x\u{fffd} (334e0ac2)', 'a'], ['x\u{fffd} (334e0ac2)', 'é'], ['z']], errors: [[['\u{fffd}( (eddf6863)'], /half/]] },
  { checks: 'herculesCI is an ordinary attribute', value: 'walk { herculesCI = { ... }: throw "called"; a = d "a"; }', jobs: [['a']] },
  { checks: 'an error under a strange name has exactly that path', value: String.raw`walk { "a.\"1\" %\n" = throw "x"; }`, errors: [['a."1" %\n']] },
  // Errors.
  { checks: 'an attribute that throws is an error and its siblings go on', value: 'walk { a = d "a"; b = throw "broken b"; c = d "c"; }', jobs: [['a'], ['c']], errors: [[['b'], /broken b/]] },
  { checks: 'abort ends one attribute only', value: 'walk { a = abort "stopped"; b = d "b"; }', jobs: [['b']], errors: [[['a'], /stopped/]] },
  { checks: 'an assertion that fails is an error', value: 'walk { a = assert 1 == 2; d "a"; b = d "b"; }', jobs: [['b']], errors: [[['a'], /assertion/]] },
  { checks: 'a missing attribute is an error', value: 'walk { a = { }.missing; b = d "b"; }', jobs: [['b']], errors: [[['a'], /missing/]] },
  { checks: 'a type error is an error', value: 'walk { a = 1 + { }; b = d "b"; }', jobs: [['b']], errors: [['a']] },
  { checks: 'a file that is not there is an error', value: 'walk { a = import ./absent.nix; b = d "b"; }', jobs: [['b']], errors: [[['a'], /absent\.nix/]] },
  { checks: 'infinite recursion is an error', value: 'walk { a = let x = x; in x; b = d "b"; }', jobs: [['b']], errors: [[['a'], /infinite recursion/]] },
  { checks: 'a call that never returns is an error of its attribute only', value: 'walk { a = let f = x: 1 + f x; in f 0; b = d "b"; }', jobs: [['b']], errors: [[['a'], /stack overflow/]] },
  { checks: 'errors that Nix code cannot catch are errors like all others', value: 'walk { a = 1 / 0; b = builtins.fromJSON "{"; c = builtins.head [ ]; d = ({ x }: x) { }; e = { }.a.b; f = builtins.readFile ./absent; g = "a" + 1; z = d "z"; }', jobs: [['z']], errors: [['a'], ['b'], ['c'], ['d'], ['e'], ['f'], ['g']] },
  { checks: '<nixpkgs> is not found', value: 'walk { a = import <nixpkgs> { }; b = d "b"; }', jobs: [['b']], errors: [[['a'], /nixpkgs/]] },
  { checks: 'an error inside a derivation is the error of its job', value: 'derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; dep = throw "in the dependency"; }', errors: [[here, /in the dependency/]] },
  { checks: 'an error in a nested set has the whole path', value: 'walk { s = walk { t = throw "far down"; a = d "a"; }; }', jobs: [['s', 'a']], errors: [[['s', 't'], /far down/]] },
  { checks: 'text that looks like a record of ours stays a message', value: 'walk { a = throw "trace: ringmaster-0:J{}"; b = builtins.trace "error: not one" (d "b"); }', jobs: [['b']], errors: [['a']] },
  // Purity.
  { checks: 'files outside the repository cannot be read', value: 'walk { a = builtins.readFile /etc/hostname; b = d "b"; }', jobs: [['b']], errors: [[['a'], /forbidden/]] },
  { checks: 'files outside cannot be read through ..', value: 'walk { a = builtins.readFile (./. + "/../../../../../../etc/hostname"); }', errors: [[['a'], /forbidden/]] },
  { checks: 'directories outside cannot be listed', value: 'walk { a = builtins.readDir /etc; }', errors: [[['a'], /forbidden/]] },
  { checks: 'environment variables are empty', value: 'walk { ${"home" + builtins.getEnv "HOME" + builtins.getEnv "PATH"} = d "a"; }', jobs: [['home']] },
  { checks: 'the current system and time are known', value: 'walk { ${if builtins.currentTime > 0 then builtins.substring 0 0 builtins.currentSystem + "known" else "no"} = d "a"; }', jobs: [['known']] },
  { checks: 'file:// cannot be fetched', value: 'walk { a = builtins.readFile (builtins.fetchurl "file:///etc/hostname"); }', errors: [[['a'], /forbidden/]] },
  { checks: 'http:// cannot be fetched', value: 'walk { a = builtins.readFile (builtins.fetchurl "http://127.0.0.1:9/x"); }', errors: [[['a'], /forbidden/]] },
  { checks: 'https:// can be fetched', value: 'walk { a = builtins.readFile (builtins.fetchurl "https://127.0.0.1:99999/x"); }', errors: [[['a'], /unable to download/]] },
  { checks: 'files of the repository can be read and copied', value: 'walk { ${builtins.readFile ./name} = derivation { name = "s"; system = "x86_64-linux"; builder = "/bin/sh"; src = ./name; }; }', jobs: [['said']] },
  { checks: 'what an evaluation itself put into the store can be read there', value: 'walk { ${builtins.readFile (builtins.path { path = ./name; name = "put"; })} = d "a"; }', jobs: [['said']] },
  { checks: 'programs cannot be run', value: 'walk { a = builtins.exec [ "id" ]; ${if builtins ? exec || builtins ? importNative then "can" else "cannot"} = d "b"; }', jobs: [['cannot']], errors: [[['a'], /exec/]] },
];

/** A flagged chain of the given length around a value, as source text. */
function chain(length: number, value: string): string {
  return length === 0 ? value : `walk { l = ${chain(length - 1, value)}; }`;
}

const ten: Path = Array.from({ length: 10 }, () => 'l');

export const treeCases: readonly TreeCase[] = [
  // Which file.
  { checks: 'nix/ci.nix is first', files: { 'nix/ci.nix': '{ a = d "a"; }', 'default.nix': 'throw "no"' }, file: 'nix/ci.nix', jobs: [['a']] },
  { checks: 'nix/ci.nix hides ci.nix, and it is said', files: { 'nix/ci.nix': '{ a = d "a"; }', 'ci.nix': 'throw "no"' }, file: 'nix/ci.nix', jobs: [['a']], notice: /nix\/ci\.nix.*ci\.nix/ },
  { checks: 'ci.nix is before default.nix', files: { 'ci.nix': '{ a = d "a"; }', 'default.nix': 'throw "no"' }, jobs: [['a']] },
  { checks: 'default.nix is last', files: { 'default.nix': '{ a = d "a"; }' }, file: 'default.nix', jobs: [['a']] },
  { checks: 'flake.nix does not count where one of the three exists', files: { 'default.nix': '{ a = d "a"; }', 'flake.nix': 'throw "no"' }, file: 'default.nix', jobs: [['a']] },
  { checks: 'a directory of that name does not count', files: { 'ci.nix/default.nix': 'throw "no"', 'default.nix': '{ a = d "a"; }' }, file: 'default.nix', jobs: [['a']] },
  { checks: 'a dangling link does not count', files: { 'ci.nix': '-> nowhere', 'default.nix': '{ a = d "a"; }' }, file: 'default.nix', jobs: [['a']] },
  { checks: 'a link to a file of the repository counts, and relative paths start at its target', files: { 'ci.nix': '-> sub/real.nix', 'sub/real.nix': '{ a = import ./a.nix; }', 'sub/a.nix': 'd "a"' }, jobs: [['a']] },
  { checks: 'a link out of the repository is refused', files: { 'ci.nix': '-> /etc/hostname', 'default.nix': '{ a = d "a"; }' }, errors: [[here, /out of the repository/]] },
  { checks: 'no file is an error of the evaluation that names what was looked for', files: { 'other.nix': '{ }' }, file: '', errors: [[here, /nix\/ci\.nix.*ci\.nix.*default\.nix.*flake\.nix/]] },
  { checks: 'a syntax error in the chosen file does not fall through to the next', files: { 'ci.nix': '{ a = ', 'default.nix': '{ a = d "a"; }' }, errors: [[here, /syntax error/]] },
  { checks: 'an empty file is an error', files: '', errors: [[here, /syntax error/]] },
  { checks: 'names are case sensitive, and nix/default.nix and ci/default.nix do not count', files: { 'CI.nix': 'throw "no"', 'nix/default.nix': 'throw "no"', 'ci/default.nix': 'throw "no"', 'default.nix': '{ a = d "a"; }' }, file: 'default.nix', jobs: [['a']] },
  { checks: 'a file nix does not count, nor does a link in a circle', files: { nix: 'x', 'ci.nix': '-> ci.nix', 'default.nix': '{ a = d "a"; }' }, file: 'default.nix', jobs: [['a']] },
  { checks: 'a link that leaves the repository and comes back counts', files: { 'ci.nix': '-> ../source/sub/real.nix', 'sub/real.nix': 'import ../.', 'default.nix': '{ a = d "a"; }' }, jobs: [['a']] },
  { checks: 'nix/ci.nix that is a directory does not count', files: { 'nix/ci.nix/default.nix': 'throw "no"', 'ci.nix': '{ a = d "a"; }' }, jobs: [['a']] },
  { checks: 'a folder nix that is a link in the repository counts', files: { nix: '-> build', 'build/ci.nix': '{ a = import ./a.nix; }', 'build/a.nix': 'd "a"' }, file: 'nix/ci.nix', jobs: [['a']] },
  // The top level.
  { checks: 'the root is walked without a flag', files: '{ a = d "a"; s = { b = d "b"; }; }', jobs: [['a']] },
  { checks: 'a root flag that is false does not stop the walk', files: '{ recurseForDerivations = false; a = d "a"; }', jobs: [['a']] },
  { checks: 'recurseForDerivations of the root is an ordinary child: a throw is its error', files: '{ recurseForDerivations = throw "odd"; a = d "a"; }', jobs: [['a']], errors: [[['recurseForDerivations'], /odd/]] },
  { checks: 'recurseForDerivations of the root is an ordinary child: a derivation is a job', files: '{ recurseForDerivations = d "r"; }', jobs: [['recurseForDerivations']] },
  { checks: 'a derivation at the root is a job with the empty path', files: 'd "root"', jobs: [here] },
  { checks: 'a derivation at the root is a job even if it is a functor', files: 'd "root" // { __functor = self: throw "called"; }', jobs: [here] },
  { checks: 'a function whose arguments have defaults is called', files: '{ n ? "x", ... }: { ${n} = d "a"; }', jobs: [['x']] },
  { checks: 'a function with an empty pattern is called', files: '{ }: { a = d "a"; }', jobs: [['a']] },
  { checks: 'an argument without a default is an error that names it, and what is passed', files: '{ needed, src, n ? 1 }: { a = d "a"; }', errors: [[here, /'needed'.*help: .* nothing but src\. Give 'needed' a default/s, 'ci.nix:2:1']] },
  { checks: 'an argument without a default of another function is an error without that advice', files: '{ }: ({ needed }: needed) { }', errors: [[here, /'needed'((?!nothing but src).)*$/s]] },
  { checks: 'the result of the function is not called again', files: '{ }: { }: { a = d "a"; }', errors: [[here, /function/]] },
  { checks: 'a function without a pattern is not called', files: 'x: { a = d "a"; }', errors: [[here, /a function/]] },
  { checks: 'a built-in function is not called', files: 'builtins.map', errors: [[here, /a function/]] },
  { checks: 'a functor at the root is called', files: '{ __functor = self: { a = d "a"; s = { b = d "b"; }; }; }', jobs: [['a']] },
  { checks: 'a functor at the root whose result is a pattern function is called on', files: '{ __functor = self: { n ? "x" }: { ${n} = d "a"; }; }', jobs: [['x']] },
  { checks: 'a functor that a root function returns is called', files: '{ }: { __functor = self: { a = d "a"; }; }', jobs: [['a']] },
  { checks: 'src is passed where the pattern names it', files: '{ src }: { ${src.ref + "@" + src.shortRev} = d "a"; ${builtins.readFile (src + "/name")} = d "b"; }', jobs: [['refs/heads/main@1234567'], ['said']] },
  { checks: 'src is passed where the pattern has an ellipsis', files: '{ ... }@args: { ${args.src.branch} = d "a"; }', jobs: [['main']] },
  { checks: 'src tells what is known of the commit, and null of what is not; its files are those of the commit alone', files: { 'ci.nix': '{ src }: { ${src.rev} = d "a"; ${builtins.concatStringsSep "," (builtins.filter (name: src.${name} == null) [ "branch" "name" "owner" "remoteHttpUrl" "tag" ])} = d "b"; ${toString (builtins.attrNames (builtins.readDir src))} = d "c"; }', '.git/config': '' }, jobs: [['1234567890123456789012345678901234567890'], ['name,owner,remoteHttpUrl,tag'], ['ci.nix']] },
  { checks: 'src is not passed where nobody asks for it', files: '{ }@args: { ${if args == { } then "none" else "some"} = d "a"; }', jobs: [['none']] },
  { checks: 'a default for src gives way to src', files: '{ src ? { ref = "default"; } }: { ${src.ref} = d "a"; }', jobs: [['refs/heads/main']] },
  { checks: 'src reaches no function below the root', files: '{ f = { __functor = self: { src ? { ref = "none"; } }: { ${src.ref} = d "a"; }; }; }', jobs: [['f', 'none']] },
  { checks: 'a functor at the root whose result is a function without a pattern is an error', files: '{ __functor = self: x: { a = d "a"; }; }', errors: [[here, /a function/]] },
  { checks: 'defaults of arguments are lazy and may use each other; files may end their lines as on Windows', files: '{ a ? throw "unused", b ? "x", c ? b + "y", ... }@args:\r\n{ ${c} = d "a"; # no more\r\n  ${if args ? b then "passed" else "default"} = d "b"; }\r\n', jobs: [['xy'], ['default']] },
  { checks: 'a list at the root is an error that says so', files: '[ (d "a") ]', errors: [[here, /a list/, 'ci.nix:1']] },
  { checks: 'a string at the root is an error that says so', files: '"text"', errors: [[here, /a string/]] },
  { checks: 'a number at the root is an error that says so', files: '1', errors: [[here, /a number/]] },
  { checks: 'null at the root is an error that says so', files: 'null', errors: [[here, /null/]] },
  { checks: 'a throw at the root is the error of the evaluation', files: 'throw "all of it"', errors: [[here, /all of it/]] },
  { checks: 'an endless recursion at the root is the error of the evaluation', files: 'let f = x: f x + 1; in f 0', errors: [[here, /stack overflow/]] },
  { checks: 'an empty root has no jobs and no errors, and it is said', files: '{ }', notice: /'ci\.nix' has nothing to build/ },
  { checks: 'a root whose sets have no flag has no jobs, and it is said why', files: '{ x86_64-linux = { a = d "a"; }; lib = { }; }', notice: /recurseForDerivations = true/ },
  { checks: 'twenty thousand values that throw in an ignored set cost nothing', files: '{ a = d "a"; s = builtins.listToAttrs (builtins.genList (n: { name = toString n; value = throw "x"; }) 20000); }', jobs: [['a']] },
  { checks: 'twenty thousand values that throw in a thousand ignored sets are not forced', files: 'builtins.listToAttrs (builtins.genList (n: { name = "s" + toString n; value = builtins.listToAttrs (builtins.genList (m: { name = toString m; value = throw "x"; }) 20); }) 1000) // { a = d "a"; }', jobs: [['a']] },
  { checks: 'a function that gives a derivation is a job with the empty path', files: '{ }: d "root"', jobs: [here] },
  { checks: 'a functor at the root that returns itself is the error of the evaluation', files: '{ __functor = self: self; }', errors: [[here, /stack overflow/]] },
  { checks: 'an abort at the root is the error of the evaluation', files: 'abort "stopped"', errors: [[here, /stopped/]] },
  { checks: 'the same name twice is an error of the evaluation, at the second', files: '{ a = d "a"; a = d "b"; }', errors: [[here, /already defined/, 'ci.nix:2:14']] },
  { checks: 'the whole document example: recurseIntoAttrs two layers deep', files: '{ myDrvs = walk { hello = d "hello"; more = walk { world = d "world"; }; }; }', jobs: [ ['myDrvs', 'hello'], ['myDrvs', 'more', 'world'], ] },
  { checks: 'a build matrix: a set per platform with a set per variant in it, and none where a platform cannot', files: 'let on = system: derivation { name = "a"; inherit system; builder = "/bin/sh"; }; platform = system: walk (builtins.mapAttrs (_: _: walk ({ a = on system; } // (if system == "aarch64-linux" then { } else { b = on system; }))) { small = 1; big = 2; }); in { x86_64-linux = platform "x86_64-linux"; aarch64-linux = platform "aarch64-linux"; }', jobs: [ ['x86_64-linux', 'small', 'a'], ['x86_64-linux', 'small', 'b'], ['x86_64-linux', 'big', 'a'], ['x86_64-linux', 'big', 'b'], ['aarch64-linux', 'small', 'a'], ['aarch64-linux', 'big', 'a'], ] },
  // Places: line 1 of a file is not its own here. Columns are those of editors, in UTF-16 units.
  { checks: 'an error has its place, wherever in the repository it is', files: {
    'ci.nix': 'let f = import ./lib/f.nix; stored = builtins.path { path = ./lib; name = "lib"; }; in {\r\n\ta =\t{ }.x;\r\n  b = "ü日本🦭" + { }.x;\n  c = f { };\n  d = import (./. + "/sp ace/a at b:1:2.nix");\n  e = (import (stored + "/f.nix")) { };\n  g = "one ${toString { }.x} two";\n  h = with { }; nowhere;\n  i = import ./lib/end.nix;\n}',
    'lib/f.nix': 'args:\n  let inner = a: a.x; in\n  inner args',
    'lib/end.nix': '{\n',
    'sp ace/a at b:1:2.nix': '\n{ }.x',
  }, errors: [
    [['a'], /missing/, 'ci.nix:3:6'],
    [['b'], /missing/, 'ci.nix:4:17'],
    [['c'], /missing/, 'lib/f.nix:3:18'],
    [['d'], /missing/, 'sp ace/a at b:1:2.nix:3:1'],
    [['e'], /missing/, 'ci.nix:7:8'],
    [['g'], /missing/, 'ci.nix:8:23'],
    [['h'], /nowhere/, 'ci.nix:9:17'],
    [['i'], /syntax error/],
  ] },
  // Depth.
  { checks: 'a job may lie ten attributes deep', files: chain(10, 'd "a"'), jobs: [ten] },
  { checks: 'the eleventh level is not even forced', files: chain(11, 'throw "forced"'), notice: /nothing to build/ },
  { checks: 'nine attributes and one functor call make ten', files: chain(9, '{ __functor = self: d "a"; }'), jobs: [ten.slice(1)] },
  { checks: 'ten attributes and a functor call are too many', files: chain(10, '{ __functor = self: throw "called"; }'), notice: /nothing to build/ },
  { checks: 'eight attributes, a functor call and one attribute make ten', files: chain(8, '{ __functor = self: { a = d "a"; s = walk { b = d "b"; }; }; }'), jobs: [[...ten.slice(2), 'a']] },
  // Import from derivation.
  { checks: 'import from derivation works in trusted code', files: '{ ${builtins.readFile (derivation { name = "ifd"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo -n built > $out" ]; })} = d "a"; }', jobs: [['built']] },
  { checks: 'import from derivation is refused in untrusted code, and only there', trusted: false, files: '{ a = builtins.readFile (derivation { name = "ifd-u"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo -n built > $out" ]; }); b = d "b"; }', jobs: [['b']], errors: [['a']] },
  { checks: 'a failed import from derivation is the error of its attribute', files: '{ a = builtins.readFile (derivation { name = "ifd-failing"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo broken tool; exit 3" ]; }); b = d "b"; }', jobs: [['b']], errors: [[['a'], /ifd-failing/]] },
  // Memory.
  { checks: 'what needs too much memory is the error of its attribute, which names the limit', files: '{ a = builtins.length (builtins.genList (n: n) 2000000000); b = d "b"; }', jobs: [['b']], errors: [[['a'], /out of memory \(.* 4096 MB: evaluation\.memory\)/]] },
  // Files that are imported.
  { checks: 'a file with a syntax error is the error of who imports it', files: { 'ci.nix': '{ a = import ./broken.nix; b = d "b"; }', 'broken.nix': '{ a = ' }, jobs: [['b']], errors: [[['a'], /syntax error/]] },
  // Links inside.
  { checks: 'a link out of the repository is not followed', files: { 'ci.nix': '{ a = builtins.readFile ./leak; b = d "b"; }', leak: '-> /etc/hostname' }, jobs: [['b']], errors: [['a']] },
];
