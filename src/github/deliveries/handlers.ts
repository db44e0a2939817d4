/** Which deliveries are worked off, and by what. */
import { z } from 'zod';
import { askAboutComment, handleComment } from '../commands/comment.ts';
import { handleInstallation, handleInstallationRepositories, handleRepository } from './access.ts';
import { askAboutSender, handleCheckRun, handleCheckSuite } from './check-events.ts';
import type { AskingContext, DeliveryContext } from './context.ts';
import { handleMergeGroup } from './merge-group.ts';
import {
  checkRunPayload,
  checkSuitePayload,
  installationPayload,
  installationRepositoriesPayload,
  issueCommentPayload,
  mergeGroupPayload,
  pullRequestPayload,
  pushPayload,
  repositoryPayload,
} from './payloads.ts';
import { askAboutPullRequest, handlePullRequest } from './pull-requests.ts';
import { askAboutPush, handlePush } from './revisions.ts';

/** The payload does not look like GitHub's: trying again helps nobody. */
export class NotUnderstood extends Error {}

/** A delivery that was read and asked about, and what remains to be done in a transaction. */
export type Act = (context: DeliveryContext) => Promise<string>;

/** Reads a delivery and asks GitHub what must be known. Rejects with NotUnderstood for other payloads. */
export type Prepare = (asking: AskingContext, payload: unknown) => Promise<Act>;

function handler<T>(
  schema: z.ZodType<T>,
  handle: (context: DeliveryContext, payload: T) => Promise<string>,
): Prepare {
  return askingHandler(
    schema,
    async () => undefined,
    (context, payload) => handle(context, payload),
  );
}

function askingHandler<T, F>(
  schema: z.ZodType<T>,
  ask: (asking: AskingContext, payload: T) => Promise<F>,
  handle: (context: DeliveryContext, payload: T, facts: F) => Promise<string>,
): Prepare {
  return async (asking, payload) => {
    const parsed = schema.safeParse(payload);
    if (!parsed.success) throw new NotUnderstood(z.prettifyError(parsed.error).slice(0, 1000));
    const facts = await ask(asking, parsed.data);
    return (context) => handle(context, parsed.data, facts);
  };
}

const handlers: ReadonlyMap<string, Prepare> = new Map([
  ['push', askingHandler(pushPayload, askAboutPush, handlePush)],
  ['pull_request', askingHandler(pullRequestPayload, askAboutPullRequest, handlePullRequest)],
  ['merge_group', handler(mergeGroupPayload, handleMergeGroup)],
  ['check_run', askingHandler(checkRunPayload, askAboutSender, handleCheckRun)],
  ['check_suite', askingHandler(checkSuitePayload, askAboutSender, handleCheckSuite)],
  ['issue_comment', askingHandler(issueCommentPayload, askAboutComment, handleComment)],
  ['installation', handler(installationPayload, handleInstallation)],
  ['installation_repositories', handler(installationRepositoriesPayload, handleInstallationRepositories)],
  ['repository', handler(repositoryPayload, handleRepository)],
]);

/** Events that are stored and worked off, as far as their actions are. */
export const handledEvents: ReadonlySet<string> = new Set(handlers.keys());

/** Of events that come in crowds, the actions anything is done about; of the others all. */
const handledActions: ReadonlyMap<string, readonly string[]> = new Map([
  ['check_run', ['rerequested', 'requested_action']],
  ['check_suite', ['rerequested']],
  ['issue_comment', ['created']],
]);

/** Whether a delivery is stored and worked off; all others are answered and forgotten. */
export function isHandled(event: string, action: string | undefined): boolean {
  return handlers.has(event) && (handledActions.get(event)?.includes(action ?? '') ?? true);
}

export function handlerOf(event: string): Prepare | undefined {
  return handlers.get(event);
}
