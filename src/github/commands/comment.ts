/**
 * Comments with commands. What a command does is done with the commit that is the pull request's head
 * at that time, and the answer names it.
 */
import { z } from 'zod';
import { approveRevision, formatAttributePath, rerunRevision } from '../../evaluations/index.ts';
import type { Knex } from '../../postgres/index.ts';
import type { Project } from '../../projects/index.ts';
import { rerunInWords } from '../deliveries/check-events.ts';
import type { AskingContext, DeliveryContext } from '../deliveries/context.ts';
import type { IssueCommentPayload } from '../deliveries/payloads.ts';
import { placeOf, projectOf } from '../deliveries/project-of.ts';
import { stopRevision } from '../deliveries/stop-revision.ts';
import { mayWrite, type Permission, type PullRequestHead } from '../questions.ts';
import { noteAnswer, type Reaction } from './answers.ts';
import { helpText } from './help.ts';
import { type Command, matchesGlob, parseCommands, type WrittenCommand } from './parse.ts';

export interface CommentFacts {
  readonly commands: readonly WrittenCommand[];
  readonly permission: Permission;
  readonly head: PullRequestHead | undefined;
}

const nothing: CommentFacts = { commands: [], permission: 'none', head: undefined };

/** Who wrote it and where the pull request stands, asked only about comments that hold commands. */
export async function askAboutComment(
  { questions, commandWord }: AskingContext,
  { action, comment, issue, repository, installation }: IssueCommentPayload,
): Promise<CommentFacts> {
  const author = comment.user;
  // Our own answers quote commands, and bots that answer each other never end.
  if (action !== 'created' || !author || author.type === 'Bot' || author.login.endsWith('[bot]'))
    return nothing;
  if (!issue.pull_request || !installation || !questions) return nothing;
  const commands = parseCommands(comment.body ?? '', commandWord);
  if (commands.length === 0) return nothing;
  const place = placeOf(repository, installation.id);
  const permission = await questions.permissionOf(place, author.login);
  const head = mayWrite(permission) ? await questions.pullRequest(place, issue.number) : undefined;
  return { commands, permission, head };
}

/** What one command came to. */
interface Result {
  readonly reaction: Reaction;
  readonly words: string;
}

export async function handleComment(
  context: DeliveryContext,
  payload: IssueCommentPayload,
  { commands, permission, head }: CommentFacts,
): Promise<string> {
  const { comment, issue } = payload;
  const author = comment.user?.login;
  if (commands.length === 0 || author === undefined) return 'Ignored: the comment holds no command.';
  const project = await projectOf(context, payload);
  if (typeof project === 'string') return project;
  if (!project.enabled) return `Ignored: ${project.owner}/${project.name} is disabled.`;
  const answer = { commentId: comment.id, projectId: project.id, pullRequest: issue.number, author };
  if (!mayWrite(permission)) {
    // One look says it; strangers shall not make us talk.
    await noteAnswer(context.trx, { ...answer, reaction: '-1', lines: [], spoken: false });
    return `Ignored: ${author} has no write permission.`;
  }
  const results: { readonly written: WrittenCommand; readonly result: Result }[] = [];
  for (const written of commands) {
    const request = { context, project, head, comment, author, number: issue.number };
    results.push({ written, result: await perform(request, written.command) });
  }
  const bad = results.some(({ result }) => result.reaction === 'confused');
  await noteAnswer(context.trx, {
    ...answer,
    reaction: bad ? 'confused' : (results.at(-1)?.result.reaction ?? '+1'),
    lines: results.map(({ written, result }) => `\`${written.line.replaceAll('`', "'")}\`: ${result.words}`),
    spoken: true,
  });
  return results
    .map(({ written, result }) => `${written.line}: ${result.words}`)
    .join(' ')
    .slice(0, 1000);
}

interface CommandRequest {
  readonly context: DeliveryContext;
  readonly project: Project;
  readonly head: PullRequestHead | undefined;
  readonly comment: IssueCommentPayload['comment'];
  readonly author: string;
  /** The pull request's. */
  readonly number: number;
}

const confused = (words: string): Result => ({ reaction: 'confused', words });

async function perform(request: CommandRequest, command: Command): Promise<Result> {
  const { context, project, head, author } = request;
  if (command.verb === 'help') return { reaction: '+1', words: helpText(context.commandWord) };
  if (command.verb === 'unknown') return confused(command.problem);
  if (!head?.open) return confused('The pull request is not open.');
  const revision = await revisionAt(context.trx, project.id, head.sha, request.number);
  const commit = `commit ${head.sha.slice(0, 12)}`;
  if (!revision) {
    return confused(`Nothing is known of its head, ${commit}, yet. Try again in a moment.`);
  }
  switch (command.verb) {
    case 'approve': {
      const problem = problemOfApproval(request, command.commit, head.sha, revision.seenAt);
      if (problem !== undefined) return confused(problem);
      const approval = { projectId: project.id, sha: head.sha, by: author };
      return (await approveRevision(context.trx, { ...approval, ...context }))
        ? { reaction: 'rocket', words: `Approved ${commit}; it is queued to be evaluated.` }
        : { reaction: '+1', words: `Nothing waits for an approval of ${commit}.` };
    }
    case 'cancel':
      return (await stopRevision(context, revision.id, `Cancelled by ${author}.`))
        ? { reaction: '+1', words: `Cancelled ${commit}.` }
        : { reaction: '+1', words: `Nothing is under way for ${commit}.` };
    case 'run':
    case 'rerun': {
      const { glob } = command;
      const outcome = await rerunRevision(context.trx, {
        revisionId: revision.id,
        scope: command.verb === 'rerun' ? command.scope : 'all',
        ...(glob === undefined ? {} : { chosen: (path) => matchesGlob(glob, formatAttributePath(path)) }),
        onRevisionChanged: context.onRevisionChanged,
      });
      if (outcome.kind === 'needs-approval') {
        return confused(`${commit} waits for an approval: \`${context.commandWord} approve\`.`);
      }
      const reaction = outcome.kind === 'started' ? 'rocket' : '+1';
      return { reaction, words: `${rerunInWords(outcome)} It is ${commit}.` };
    }
  }
}

const seenRow = z.object({ id: z.number(), seen_at: z.date() });

/** The head as a revision of this pull request, and when it was first told of. */
async function revisionAt(trx: Knex.Transaction, projectId: number, sha: string, number: number) {
  const found: unknown = await trx('revisions')
    .join('revision_sources', 'revision_sources.revision_id', 'revisions.id')
    .select('revisions.id', 'revision_sources.seen_at')
    .where({ project_id: projectId, sha, kind: 'pull-request', 'revision_sources.name': String(number) })
    .first();
  if (found === undefined) return undefined;
  const row = seenRow.parse(found);
  return { id: row.id, seenAt: row.seen_at };
}

/**
 * Whoever approves has looked at some commit. If the head was told of after the comment was written,
 * it may be another one: then the comment must name it.
 */
function problemOfApproval(
  { context, comment }: CommandRequest,
  named: string | undefined,
  head: string,
  seenAt: Date,
): string | undefined {
  if (named !== undefined) {
    return head.startsWith(named) ? undefined : `The head is commit ${head.slice(0, 12)}, not ${named}.`;
  }
  if (seenAt.getTime() <= comment.created_at.getTime()) return undefined;
  return (
    `The head, commit ${head.slice(0, 12)}, came about when the comment was written, or later. ` +
    `If that is the one you have read: \`${context.commandWord} approve ${head.slice(0, 12)}\`.`
  );
}
