/**
 * The whole walk as one Nix expression that says on stderr, through builtins.trace, what it is
 * about to force and what came of it. When the process dies, of whatever cause, the last record
 * names the attribute that killed it, and the walk is taken up again behind it.
 *
 * Records are lines `trace: <nonce><kind><JSON>`:
 *   E {"p":[names],"i":[indices],"at":position,"was":job}   this attribute is forced next
 *   J {"name":…,"drvPath":…,"mark":…}                      it is a job, and has a meta
 *   M {"timeoutSeconds":…,"maxSilentSeconds":…,"priority":…}   what that job's meta asks for, if anything
 *   C null                                                 the code asked which commit it is
 *   Z null or job                                          the tree is done
 *   D null                                                 a command of a session is done (see walk-session.ts)
 *
 * A job without a meta has no record of its own: E and Z tell it of the attribute before. Nothing is
 * forced in between, and each record is a system call here and a turn of the reader there.
 */
import { type RootExpression, traversalDepth, traversalRules } from '../traversal-rules.ts';

/** Positions of the names on an attribute path among the sorted names of their sets. */
export type Cursor = readonly number[];

/** Everything up to an attribute, but not the attribute itself. */
export function justBefore(cursor: Cursor): Cursor {
  return [...cursor.slice(0, -1), (cursor.at(-1) ?? 0) - 1];
}

/** The repl of some versions cannot be made pure; then it does nothing, and does not count as started. */
const impureGuard = 'if builtins ? currentSystem then null else ';

/**
 * The walk as a function of the nonce and then of a cursor: everything up to and with that attribute is
 * skipped. What it evaluated stays evaluated when it is called again. The nonce is an argument because
 * the code under evaluation may find and read the text. A cursor is made of indices because names can
 * be any bytes and do not survive every trip through JSON.
 */
export function walkFunction(root: RootExpression): string {
  return `nonce: let
${traversalRules(root)}
  say = kind: record: next: builtins.trace (nonce + kind + builtins.toJSON record) next;

  sayLimits = limits: if limits == { } then null else say "M" limits null;

  # always: walk this set without asking for its flag. cursor: what of this subtree is to be skipped.
  # Gives the job that nobody was told of yet, or null.
  visit = depth: always: path: indices: cursor: value:
    let
      kind = classify value;
    in
    if kind == "derivation" then
      let found = job value; in
      if value ? meta then builtins.seq found (say "J" found (sayLimits (limitsOf value))) else found
    else if kind == "functor" then
      if depth > 0 then visit (depth - 1) true path indices cursor (step value) else null
    else if kind == "set" && (always || flagged value) && depth > 0 then
      children depth path indices cursor value
    else null;

  children = depth: path: indices: cursor: set:
    let
      names = builtins.attrNames set;
      shown = showing names;
      first = if cursor == [ ] then 0 else builtins.head cursor;
      child = before: index:
        let
          name = builtins.elemAt names index;
          here = path ++ [ (shown name) ];
          at = indices ++ [ index ];
          below = if cursor != [ ] && index == first then builtins.tail cursor else [ ];
        in
        if cursor == [ index ] then null
        else say "E"
          ({ p = here; i = at; at = builtins.unsafeGetAttrPos name set; } // (if before == null then { } else { was = before; }))
          (visit (depth - 1) false here at below set.\${name});
      count = builtins.length names - first;
    in
    builtins.foldl' child null
      (builtins.genList (number: first + number) (if count > 0 then count else 0));
in
cursor: ${root.flake ? impureGuard : ''}say "E" { p = [ ]; i = [ ]; at = null; } (let last = visit ${traversalDepth} true [ ] [ ] cursor root; in builtins.seq last (say "Z" last null))
`;
}
