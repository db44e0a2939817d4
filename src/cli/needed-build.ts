/** The build that an operator means. */
import { OperatorError } from '../basics/index.ts';
import { findBuildRecord } from '../builds/index.ts';
import type { Knex } from '../postgres/index.ts';

/** The build, or an error for the operator. */
export async function needBuild(knex: Knex, id: number) {
  const build = await findBuildRecord(knex, id);
  if (build) return build;
  throw new OperatorError({
    code: 'no-such-build',
    message: `There is no build ${id}.`,
    hint: "'ringmaster build list' shows the newest ones.",
  });
}
