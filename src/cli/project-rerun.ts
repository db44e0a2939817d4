/** `ringmaster project rerun`. */
import { z } from 'zod';
import { exitStatus, OperatorError } from '../basics/index.ts';
import { formatAttributePath, matchesGlob, type Rerun, rerunRevision } from '../evaluations/index.ts';
import type { Knex } from '../postgres/index.ts';
import { announceRevision } from '../server/index.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { withServerDatabase } from './database.ts';
import { needProject } from './project.ts';
import { plainLine } from './terminal/text.ts';

export interface RerunOptions {
  /** A branch, or the beginning of a commit's SHA; the default branch without it. */
  readonly commit: string | undefined;
  readonly onlyFailed: boolean;
  /** Of what failed, only attributes that fit. */
  readonly pattern: string | undefined;
  readonly json: boolean;
}

/** Evaluates a commit again; exit status 1 when there is no reason to. */
export async function rerunProject(
  context: CommandContext,
  name: string,
  { commit, onlyFailed, pattern, json }: RerunOptions,
): Promise<number> {
  const { config } = await readConfiguration(context);
  return withServerDatabase(context, config, async ({ knex }) => {
    const project = await needProject(knex, name);
    const { id, sha } = await needRevision(knex, project.id, commit ?? project.defaultBranch);
    const rerun = await knex.transaction((trx) =>
      rerunRevision(trx, {
        revisionId: id,
        scope: onlyFailed ? 'failed' : 'all',
        ...(pattern === undefined
          ? {}
          : { chosen: (path) => matchesGlob(pattern, formatAttributePath(path)) }),
        onRevisionChanged: announceRevision,
      }),
    );
    const started = rerun.kind === 'started';
    if (json) context.stdout.write(`${JSON.stringify({ revisionId: id, sha, ...rerun })}\n`);
    else if (!started || !context.options.quiet) {
      context.stdout.write(`${plainLine(name)} ${sha.slice(0, 12)}: ${inWords(rerun)}\n`);
    }
    return started ? exitStatus.ok : exitStatus.failed;
  });
}

function inWords(rerun: Rerun): string {
  switch (rerun.kind) {
    case 'started':
      return `evaluation ${rerun.evaluationId} is queued${rerun.attributes > 0 ? `, ${rerun.attributes} failed attributes are tried again` : ''}`;
    case 'under-way':
      return `evaluation ${rerun.evaluationId} is under way`;
    case 'needs-approval':
      return 'waits for approval, which only people with write permission give, on GitHub';
    case 'at-rest':
      return 'its project is at rest: see ringmaster project list';
    case 'nothing-failed':
      return 'nothing of it failed';
    case 'unknown':
      return 'is gone';
  }
}

const revisionRows = z.array(z.object({ id: z.number(), sha: z.string() }));

/** A branch goes before a commit of that name: branches are seldom called like the beginning of a SHA. */
async function needRevision(knex: Knex, projectId: number, wanted: string) {
  const heads: unknown = await knex('revision_sources')
    .join('revisions', 'revisions.id', 'revision_sources.revision_id')
    .select('revisions.id', 'revisions.sha')
    .where({ project_id: projectId, kind: 'branch', 'revision_sources.name': wanted })
    .orderBy('seen_at', 'desc')
    .limit(1);
  const [head] = revisionRows.parse(heads);
  if (head) return head;
  const isSha = /^[0-9a-f]{4,64}$/i.test(wanted);
  const commits: unknown = isSha
    ? await knex('revisions')
        .select('id', 'sha')
        .where({ project_id: projectId })
        .andWhereRaw('starts_with(sha, ?)', [wanted.toLowerCase()])
        .limit(2)
    : [];
  const [commit, another] = revisionRows.parse(commits);
  if (commit && !another) return commit;
  throw new OperatorError({
    code: another ? 'commit-ambiguous' : 'commit-unknown',
    message: another
      ? `Several commits begin with '${wanted}'.`
      : `No branch '${wanted}' and no commit that begins so has come from GitHub.`,
    hint: 'Give the name of a branch, or more of the SHA.',
  });
}
