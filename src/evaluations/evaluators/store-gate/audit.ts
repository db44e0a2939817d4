/**
 * Looks through the closures of the derivations that an evaluation makes: what one takes in must be
 * made by the same evaluation, or be the output of something that is, or be allowed to it otherwise.
 * It is looked at when a job is found, since all its derivation needs has been made by then.
 */
import type { Derivation, PendingDerivations } from '../../../nix/index.ts';
import type { Provenance } from '../../audit/provenance.ts';
import type { Trail } from './trail.ts';

export interface AuditOptions {
  readonly derivations: PendingDerivations;
  readonly trail: Trail;
  readonly provenance: Provenance;
}

export interface Audit {
  /** The foreign path that a derivation uses, or is, so that it must not be built; or undefined. */
  check(drvPath: string): Promise<string | undefined>;
  /** Whether the evaluation may see the path. */
  isVisible(path: string): Promise<boolean>;
}

/** Why a path is refused. */
export function foreignPath(path: string): string {
  return `${path}, which neither this repository's evaluation made nor a public cache has`;
}

export function createAudit({ derivations, trail, provenance }: AuditOptions): Audit {
  /** Derivation -> the foreign path that it reaches, or undefined when it is good. */
  const verdicts = new Map<string, string | undefined>();
  const allowed = new Map<string, boolean>();
  const outputs = createOutputs(derivations, trail);

  const isOwn = (path: string) => trail.sources.has(path) || trail.derivations.has(path);

  /** Asks once for all that nobody has asked for yet. */
  async function ask(paths: Iterable<string>): Promise<void> {
    const unknown = [...paths].filter((path) => !allowed.has(path));
    if (unknown.length === 0) return;
    const found = await provenance.allowed(unknown);
    for (const path of unknown) allowed.set(path, found.has(path));
  }

  const isForeign = (path: string) => !isOwn(path) && !(allowed.get(path) ?? false) && !outputs.has(path);

  /** The derivations of a closure that have no verdict yet, each behind what it needs. */
  function unjudged(drvPath: string): Map<string, readonly string[]> {
    const found = new Map<string, readonly string[]>();
    const inputs = new Map<string, readonly string[]>();
    const stack = [drvPath];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const known = inputs.get(top);
      if (known !== undefined || verdicts.has(top)) {
        stack.pop();
        // Set when all it needs was set.
        if (known !== undefined && !found.has(top)) found.set(top, known);
        continue;
      }
      const taken = inputsOf(derivations.read(top));
      inputs.set(top, taken);
      for (const path of taken) {
        if (path.endsWith('.drv') && !inputs.has(path) && !verdicts.has(path)) stack.push(path);
      }
    }
    return found;
  }

  return {
    check: async (drvPath) => {
      if (!isOwn(drvPath)) {
        if (drvPath.endsWith('.drv')) return drvPath;
        await ask([drvPath]);
        return isForeign(drvPath) ? drvPath : undefined;
      }
      if (verdicts.has(drvPath)) return verdicts.get(drvPath);
      const closure = unjudged(drvPath);
      const strange = [...new Set([...closure.values()].flat())].filter((path) => !isOwn(path));
      await ask(strange);
      for (const [path, inputs] of closure) {
        const foreign = inputs.find(isForeign);
        const through = inputs.find((input) => verdicts.get(input) !== undefined);
        verdicts.set(path, foreign ?? (through === undefined ? undefined : verdicts.get(through)));
      }
      return verdicts.get(drvPath);
    },
    isVisible: async (path) => {
      // Derivations are made again by whoever uses them.
      if (path.endsWith('.drv')) return isOwn(path);
      if (isOwn(path) || outputs.has(path)) return true;
      await ask([path]);
      return !isForeign(path);
    },
  };
}

function inputsOf(derivation: Derivation | undefined): readonly string[] {
  return derivation ? [...derivation.inputDerivations.keys(), ...derivation.inputSources] : [];
}

/** The outputs of all derivations that the evaluation made, read when somebody asks: mostly nobody does. */
function createOutputs(derivations: PendingDerivations, trail: Trail) {
  const known = new Set<string>();
  let read = 0;
  return {
    has(path: string): boolean {
      if (read < trail.derivations.size) {
        let index = 0;
        for (const drvPath of trail.derivations) {
          index += 1;
          if (index <= read) continue;
          for (const output of derivations.read(drvPath)?.outputs.values() ?? []) {
            if (output.path !== undefined) known.add(output.path);
          }
        }
        read = index;
      }
      return known.has(path);
    },
  };
}
