import type { BuildPlan } from '../builds/index.ts';

/** Derivations that must not be built, with the reason. */
export type Refusals = Map<string, string>;

/**
 * A plan without what is refused and what depends on it. Adds the latter to the refusals, which go
 * from one plan of an evaluation to the next.
 */
export function withoutRefused(plan: BuildPlan, refusals: Refusals): BuildPlan {
  if (refusals.size === 0) return plan;
  const dependents = new Map<string, string[]>();
  for (const { drvPath, inputs } of plan.wanted) {
    for (const input of inputs) {
      const known = dependents.get(input);
      if (known) known.push(drvPath);
      else dependents.set(input, [drvPath]);
    }
  }
  // Grows while it is gone through.
  for (const [drvPath, reason] of refusals) {
    for (const dependent of dependents.get(drvPath) ?? []) {
      if (!refusals.has(dependent)) refusals.set(dependent, reason);
    }
  }
  return { ...plan, wanted: plan.wanted.filter((build) => !refusals.has(build.drvPath)) };
}
