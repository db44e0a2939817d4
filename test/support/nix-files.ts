/** ci.nix files for stories. Every derivation is new at each run, so nothing is built before it is asked for. */
import { randomUUID } from 'node:crypto';

/** What the stories' ci.nix files share: `build name script`, and `buildOn feature name script`. */
function prelude(nonce: string): string {
  return `
let
  make = more: name: script: derivation (more // {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" ("export PATH=/bin:/usr/bin; : ${nonce}\\n" + script) ];
  });
  build = make { };
  buildOn = feature: make { requiredSystemFeatures = [ feature ]; };
in`;
}

/** A ci.nix whose body may use \`build "name" "script"\`. */
export function ciNix(body: string, nonce: string = randomUUID()): string {
  return `${prelude(nonce)}\n${body}\n`;
}

/** Line on which the body of {@link ciNix} begins, from 1. */
export const bodyLine = prelude('').split('\n').length + 1;
