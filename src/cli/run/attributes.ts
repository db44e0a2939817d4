/** `ringmaster run --attribute`: which of what an evaluation finds is wanted. */
import { OperatorError } from '../../basics/index.ts';
import { type EvaluationEvent, formatAttributePath, matchesGlob } from '../../evaluations/index.ts';
import { plainLine } from '../terminal/text.ts';

export interface ChosenAttributes {
  /** Whether the run goes on with this event. */
  has(event: EvaluationEvent): boolean;
  /** To be called when all was seen: throws when nothing was chosen, though something was asked for. */
  check(): void;
}

/** What fits one of the patterns. What concerns the evaluation as a whole is never left out. */
export function chooseAttributes(patterns: readonly string[] | undefined): ChosenAttributes {
  if (patterns === undefined) return { has: () => true, check: () => {} };
  let found = false;
  return {
    has(event) {
      if (event.type !== 'job' && event.type !== 'error') return true;
      const path = formatAttributePath(event.path);
      const whole = event.type === 'error' && event.path.length === 0;
      const fits = whole || patterns.some((pattern) => matchesGlob(pattern, path));
      found ||= fits;
      return fits;
    },
    check() {
      if (found) return;
      throw new OperatorError({
        code: 'no-such-attribute',
        message: `No attribute fits ${patterns.map((pattern) => `'${plainLine(pattern)}'`).join(' or ')}.`,
        hint: '`ringmaster run --no-build` lists the attributes that there are.',
      });
    },
  };
}
