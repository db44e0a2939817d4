/**
 * The outputs of a flake as a tree that the traversal rules walk. Each level is looked at only when
 * the walk comes there, so what fails is the error of its own attribute.
 *
 *   checks, packages, devShells   .SYSTEM.NAME
 *   formatter                     .SYSTEM
 *   hydraJobs                     every set below it, as Hydra does, to the depth of all walks
 *   nixosConfigurations           .NAME.config.system.build.toplevel
 */
import { nixString } from '../nix-literals.ts';

export interface FlakeRoot {
  /** Locked, as `builtins.getFlake` takes it in pure evaluation. */
  readonly reference: string;
  /** The systems whose outputs are jobs. */
  readonly systems: readonly string[];
}

/** An expression for the root; `isDerivation` is in scope. */
export function flakeRoot(flake: FlakeRoot): string {
  const wanted = flake.systems.map((system) => `${nixString(system)} = null;`).join(' ');
  return `
    let
      flake = builtins.getFlake ${nixString(flake.reference)};
      wanted = { ${wanted} };
      isPlain = value: builtins.isAttrs value && !(isDerivation value);
      walked = value: if isPlain value then value // { recurseForDerivations = true; } else value;
      deep = value: if isPlain value then walked (builtins.mapAttrs (_: deep) value) else value;
      ofSystems = show: set: walked (builtins.mapAttrs (_: show) (builtins.intersectAttrs wanted set));
      only = names: value:
        if names == [ ] then value
        else walked { \${builtins.head names} = only (builtins.tail names) value; };
      configuration = value: only [ "config" "system" "build" "toplevel" ] value.config.system.build.toplevel;
      shown = {
        checks = ofSystems walked;
        packages = ofSystems walked;
        devShells = ofSystems walked;
        formatter = ofSystems (value: value);
        hydraJobs = deep;
        nixosConfigurations = set: walked (builtins.mapAttrs (_: configuration) set);
      };
    in
    builtins.mapAttrs (name: show: show flake.\${name}) (builtins.intersectAttrs flake shown)`;
}
