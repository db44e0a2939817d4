/** The phases of `plan/verdict.ts`, and what jobs failed for, in SQL: of thousands of jobs few are read. */
import { failureStates } from '../builds/index.ts';
import type { EvaluationFacts } from './facts.ts';
import { phases } from './plan/verdict.ts';

/** Bad ends whose cause others share: a dependency, or the machines. What fails by itself fails alone. */
const sharedStates = ['dependency-failed', 'unsupported-system', 'out-of-disk', 'builder-lost'] as const;

const list = (texts: readonly string[]) => texts.map((text) => `'${text}'`).join(',');

/** Place of a phase among `phases`, from 1. */
export const rankSql = `array_position(ARRAY[${list(phases)}], phase)`;

/**
 * All that the error itself says: the first line alone may be the same for different ones, and how the evaluation
 * came there differs from attribute to attribute. It stands behind, but in texts that were kept long ago. Without a
 * regular expression, which takes a hundred times as long for messages of some kilobytes.
 */
const errorWords = `coalesce(nullif(btrim(split_part(j.error, E'\\n       …', 1), E' \\n'), 'error:'), j.error)`;

/**
 * Jobs of the evaluation `:evaluationId` as rows `id, path, error, phase, follows, cause`. `cause` is equal for
 * those that failed for one and the same, and null where nobody can share it; `follows`: another build failed.
 */
export function judgedJobs({ finishedAt }: Pick<EvaluationFacts, 'finishedAt'>): string {
  const open = finishedAt
    ? `'cancelled'`
    : `CASE WHEN b.state = 'building' THEN 'building' ELSE 'queued' END`;
  return `SELECT j.id, j.path, j.error IS NOT NULL AS error, b.state = 'dependency-failed' IS TRUE AS follows,
     CASE WHEN j.error IS NOT NULL THEN 'bad'
          WHEN j.cached OR b.state = 'succeeded' THEN CASE WHEN j.mark = 'must-fail' THEN 'bad' ELSE 'good' END
          WHEN b.state = 'cancelled' THEN 'cancelled'
          WHEN b.state IN (${list(failureStates)}) THEN
            CASE j.mark WHEN 'must-fail' THEN 'good' WHEN 'may-fail' THEN 'tolerated' ELSE 'bad' END
          ELSE ${open} END AS phase,
     CASE WHEN j.error IS NOT NULL THEN md5(concat_ws(':', j.error_file, j.error_line, ${errorWords}))
          WHEN b.state IN (${list(sharedStates)})
          THEN concat_ws(':', b.state, coalesce(b.culprit_build_id::text, md5(b.message))) END AS cause
   FROM jobs j LEFT JOIN builds b ON b.id = j.build_id AND NOT j.cached WHERE j.evaluation_id = :evaluationId`;
}
