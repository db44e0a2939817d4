/**
 * Looks through the closures of the derivations that an evaluation makes: what one takes in must be
 * made by the same evaluation, or be the output of something that is, or be allowed to it otherwise.
 * It is looked at when a job is found, since all its derivation needs has been made by then.
 */
import { type Derivation, isFixedOutput, type PendingDerivations } from '../../../nix/index.ts';
import type { Provenance } from '../../audit/provenance.ts';
import { createOutputs } from './made-outputs.ts';
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

  /** A derivation is one's own only where it can be looked into; one that was added as a file cannot. */
  const isOwn = (path: string) =>
    path.endsWith('.drv') ? trail.derivations.has(path) : trail.sources.has(path);

  /** Asks once for all that nobody has asked for yet. */
  async function ask(paths: Iterable<string>): Promise<void> {
    const unknown = [...paths].filter((path) => !allowed.has(path) && !path.endsWith('.drv'));
    if (unknown.length === 0) return;
    const found = await provenance.allowed(unknown);
    for (const path of unknown) allowed.set(path, found.has(path));
  }

  async function foreignAmong(paths: readonly string[]): Promise<ReadonlySet<string>> {
    const strange = paths.filter((path) => !isOwn(path));
    await ask(strange);
    const foreign = new Set<string>();
    for (const path of strange) {
      if (allowed.get(path) !== true && !(await isMade(path))) foreign.add(path);
    }
    return foreign;
  }

  /**
   * Whether it is an output of a derivation that may be built. Without that it could be what others
   * have built from theirs; but a hash that was known beforehand stands for the right to the content.
   */
  async function isMade(path: string): Promise<boolean> {
    for (const drvPath of outputs.makersOf(path)) {
      if (!(await outputs.areTrue(drvPath))) continue;
      const derivation = derivations.read(drvPath);
      if (derivation && (isFixedOutput(derivation) || (await check(drvPath)) === undefined)) return true;
    }
    return false;
  }

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
        if (isOwn(path) && path.endsWith('.drv') && !inputs.has(path) && !verdicts.has(path)) {
          stack.push(path);
        }
      }
    }
    return found;
  }

  async function check(drvPath: string): Promise<string | undefined> {
    if (!isOwn(drvPath)) return (await foreignAmong([drvPath])).has(drvPath) ? drvPath : undefined;
    if (verdicts.has(drvPath)) return verdicts.get(drvPath);
    const closure = unjudged(drvPath);
    const foreign = await foreignAmong([...new Set([...closure.values()].flat())]);
    for (const [path, inputs] of closure) {
      const through = inputs.find((input) => verdicts.get(input) !== undefined);
      const found = inputs.find((input) => foreign.has(input));
      verdicts.set(path, found ?? (through === undefined ? undefined : verdicts.get(through)));
    }
    return verdicts.get(drvPath);
  }

  return {
    check,
    isVisible: async (path) => {
      // Derivations are made again by whoever uses them.
      if (path.endsWith('.drv') || isOwn(path)) return isOwn(path);
      return !(await foreignAmong([path])).has(path);
    },
  };
}

function inputsOf(derivation: Derivation | undefined): readonly string[] {
  return derivation ? [...derivation.inputDerivations.keys(), ...derivation.inputSources] : [];
}
