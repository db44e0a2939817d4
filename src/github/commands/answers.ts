/**
 * Answers to commands: a reaction to the comment, and one comment of ours on the pull request, which is
 * edited from then on. Thirty commands in a minute are thirty reactions at most and a few edits.
 *
 * An answer is written down in the transaction of what it tells, and told by a background task:
 *
 *   noted ──GitHub has it, or never will──> told
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type Logger, messageOf } from '../../basics/index.ts';
import { addTask } from '../../postgres/index.ts';
import { findProject, type Project } from '../../projects/index.ts';
import type { Governor } from '../../reports/index.ts';
import type { GitHubApp, GitHubClient } from '../app.ts';
import { failureOf } from '../failures.ts';
import { withRepository } from '../questions.ts';

export type Reaction = '+1' | '-1' | 'confused' | 'rocket';

export interface Answer {
  /** GitHub's id of the comment that is answered. */
  readonly commentId: number;
  readonly projectId: number;
  readonly pullRequest: number;
  readonly author: string;
  readonly reaction: Reaction;
  /** Markdown, one for each command. */
  readonly lines: readonly string[];
  /** Whether the lines are said in words. */
  readonly spoken: boolean;
}

export const tellAnswersTask = 'tell-answers';
const tellPayload = z.object({ projectId: z.number(), pullRequest: z.number() });

/** Milliseconds within which comments on one pull request get one edit of the answer. */
const gatherMs = 1_000;

/** Notes an answer, once for a comment. */
export async function noteAnswer(trx: Knex.Transaction, answer: Answer): Promise<void> {
  const { projectId, pullRequest } = answer;
  await trx('comment_answers')
    .insert({
      comment_id: answer.commentId,
      project_id: projectId,
      pull_request: pullRequest,
      author: answer.author,
      lines: [...answer.lines],
      reaction: answer.reaction,
      spoken: answer.spoken,
    })
    .onConflict('comment_id')
    .ignore();
  await askToTell(trx, { projectId, pullRequest }, new Date(Date.now() + gatherMs), 'preserve_run_at');
}

async function askToTell(
  db: Knex,
  pull: z.infer<typeof tellPayload>,
  runAt: Date,
  jobKeyMode: 'replace' | 'preserve_run_at',
): Promise<void> {
  const jobKey = `${tellAnswersTask}:${pull.projectId}:${pull.pullRequest}`;
  await addTask(db, tellAnswersTask, pull, { jobKey, jobKeyMode, runAt, queueName: jobKey });
}

export interface TellOptions {
  readonly db: Knex;
  readonly app: GitHubApp;
  /** The same that reports spend from: GitHub counts all writes of an installation together. */
  readonly governor: Governor;
  readonly log: Logger;
}

const answerRow = z.object({
  comment_id: z.number(),
  author: z.string(),
  lines: z.array(z.string()),
  reaction: z.enum(['+1', '-1', 'confused', 'rocket']).nullable(),
  spoken: z.boolean(),
  told_at: z.date().nullable(),
  created_at: z.date(),
});
type AnswerRow = z.infer<typeof answerRow>;

/** Answers that our comment shows, and reactions given in one go. */
const shownAnswers = 5;
const reactionsAtOnce = 10;
/** Writes of the minute that reactions leave to reports. */
const keptForReports = 30;

/** The task's handler: tells what has not been told about one pull request. */
export function createAnswerTeller(options: TellOptions): (payload: unknown) => Promise<void> {
  const { db, app, governor, log } = options;
  return async (payload) => {
    const pull = tellPayload.parse(payload);
    const project = await findProject(db, pull.projectId);
    if (!project) return;
    const answers = await newestAnswers(db, pull);
    const untold = answers.filter((row) => row.told_at === null);
    if (untold.length === 0) return;
    const { installationId } = project;
    const spoken = untold.some((row) => row.spoken);
    const reacting = untold.slice(0, reactionsAtOnce).filter((row) => row.reaction !== null);
    let crowded = false;
    const allowance = await governor.take(installationId, (room) => {
      crowded = room.result < 2;
      if (crowded) return 0;
      const reactions = Math.max(0, room.result - Number(spoken) - keptForReports);
      return Number(spoken) + Math.min(reacting.length, reactions);
    });
    if (crowded) return askToTell(db, pull, allowance.nextRoom('result'), 'replace');
    let problem: string | undefined;
    try {
      await withRepository(app, log, placeOf(project), { pull_requests: 'write' }, async (client) => {
        if (spoken) await writeComment(options, client, project, pull.pullRequest, answers);
        // Where there is no room for all, it is the words that matter.
        for (const row of reacting.slice(0, allowance.writes - Number(spoken))) {
          if (row.reaction !== null) await react(client, project, row.comment_id, row.reaction);
        }
      });
    } catch (error) {
      const failure = failureOf(error);
      if (failure.kind === 'rate-limited') {
        const at = new Date(Date.now() + (failure.afterSeconds ?? 60) * 1000);
        return askToTell(db, pull, at, 'replace');
      }
      if (failure.kind === 'unavailable') throw new Error(failure.reason, { cause: error });
      problem = failure.reason;
      log.warn({ project: project.id, pull: pull.pullRequest, reason: problem }, 'an answer was refused');
    }
    await db('comment_answers')
      .whereIn(
        'comment_id',
        untold.map((row) => row.comment_id),
      )
      .update({ told_at: db.fn.now(), problem: problem ?? null });
  };
}

async function newestAnswers(
  db: Knex,
  { projectId, pullRequest }: z.infer<typeof tellPayload>,
): Promise<readonly AnswerRow[]> {
  const rows: unknown = await db('comment_answers')
    .where({ project_id: projectId, pull_request: pullRequest })
    .andWhere((one) => one.whereNull('told_at').orWhere('spoken', true))
    .orderBy([
      { column: 'created_at', order: 'desc' },
      { column: 'comment_id', order: 'desc' },
    ])
    .limit(200);
  return z.array(answerRow).parse(rows);
}

/** Edits our comment, or writes it where there is none any more. */
async function writeComment(
  { db, app, log }: TellOptions,
  client: GitHubClient,
  project: Project,
  pullRequest: number,
  answers: readonly AnswerRow[],
): Promise<void> {
  const where = { project_id: project.id, pull_request: pullRequest };
  const repository = { owner: project.owner, repo: project.name };
  const body = commentBody(answers.filter((row) => row.spoken).slice(0, shownAnswers));
  const row: { github_comment_id: number } | undefined = await db('pull_request_comments')
    .where(where)
    .first();
  const remember = (id: number) =>
    db('pull_request_comments')
      .insert({ ...where, github_comment_id: id })
      .onConflict(['project_id', 'pull_request'])
      .merge();
  const known = row?.github_comment_id ?? (await findComment(client, app, project, pullRequest, answers));
  if (known !== undefined) {
    try {
      await client.request('PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}', {
        ...repository,
        comment_id: known,
        body,
      });
      if (!row) await remember(known);
      return;
    } catch (error) {
      if (failureOf(error).kind !== 'not-found') throw error;
      log.debug({ reason: messageOf(error) }, 'our comment was deleted, another one is written');
    }
  }
  const { data } = await client.request('POST /repos/{owner}/{repo}/issues/{issue_number}/comments', {
    ...repository,
    issue_number: pullRequest,
    body,
  });
  await remember(Number(data.id));
}

/** Stands unseen in our comment, so that it is known again. */
const marker = '<!-- ringmaster: answers -->';
/** Pages of 100 comments; only those since the answers were noted are asked for. */
const mostPages = 5;
/** Milliseconds by which GitHub's clock may be behind ours. */
const clockSkewMs = 5 * 60_000;

const commentsAnswer = z.array(
  z.object({
    id: z.number(),
    body: z.string().nullish(),
    performed_via_github_app: z.object({ id: z.number() }).nullish(),
  }),
);

/** The comment of a try that broke off before its id was stored. Others can write the marker, too. */
async function findComment(
  client: GitHubClient,
  { appId }: GitHubApp,
  project: Project,
  pullRequest: number,
  answers: readonly AnswerRow[],
): Promise<number | undefined> {
  const oldest = Math.min(...answers.map(({ created_at }) => created_at.getTime()));
  for (let page = 1; page <= mostPages; page++) {
    const { data } = await client.request('GET /repos/{owner}/{repo}/issues/{issue_number}/comments', {
      owner: project.owner,
      repo: project.name,
      issue_number: pullRequest,
      since: new Date(oldest - clockSkewMs).toISOString(),
      per_page: 100,
      page,
    });
    const comments = commentsAnswer.parse(data);
    const ours = comments.find(
      ({ body, performed_via_github_app: by }) => by?.id === appId && body?.includes(marker),
    );
    if (ours) return ours.id;
    if (comments.length < 100) return undefined;
  }
  return undefined;
}

/** Logins stand in code, so that nobody is notified for each edit. */
function commentBody(answers: readonly AnswerRow[]): string {
  const blocks = answers.map(
    (row) => `\`${row.author}\`\n\n${row.lines.map((line) => `* ${line}`).join('\n\n')}`,
  );
  return `${blocks.join('\n\n---\n\n')}\n\n${marker}`;
}

async function react(
  client: GitHubClient,
  project: Project,
  commentId: number,
  content: Reaction,
): Promise<void> {
  try {
    await client.request('POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions', {
      owner: project.owner,
      repo: project.name,
      comment_id: commentId,
      content,
    });
  } catch (error) {
    // The comment was deleted meanwhile.
    if (failureOf(error).kind !== 'not-found') throw error;
  }
}

function placeOf(project: Project) {
  const { installationId, githubRepositoryId: repositoryId, owner, name } = project;
  return { installationId, repositoryId, owner, name };
}
