/** Stopping what is under way for a commit. */
import { z } from 'zod';
import { cancelEvaluations } from '../../evaluations/index.ts';
import type { DeliveryContext } from './context.ts';
import { isWanted } from './sources.ts';

export interface StopOptions {
  /** Only when no branch or pull request that is not over has the commit too. */
  readonly ifUnwanted?: boolean;
  /** A branch that does not count as wanting it. */
  readonly but?: string;
}

/** Cancels the newest evaluation of a revision. False when it is over, or wanted. */
export async function stopRevision(
  { trx, onRevisionChanged }: DeliveryContext,
  revisionId: number,
  why: string,
  { ifUnwanted = false, but }: StopOptions = {},
): Promise<boolean> {
  if (ifUnwanted && (await isWanted(trx, revisionId, but))) return false;
  const found: unknown = await trx('evaluations')
    .select('id')
    .where({ revision_id: revisionId })
    .whereNull('finished_at')
    .orderBy('id', 'desc')
    .first();
  if (found === undefined) return false;
  const { id } = z.object({ id: z.number() }).parse(found);
  return (await cancelEvaluations(trx, [id], { why, onRevisionChanged })).length > 0;
}
