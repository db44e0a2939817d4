/** Deliveries about our own check runs: people pressed Re-run, or one of our gateButtons. */
import { z } from 'zod';
import { approveRevision, type Rerun, rerunRevision } from '../../evaluations/index.ts';
import type { Knex } from '../../postgres/index.ts';
import type { Project } from '../../projects/index.ts';
import {
  applyHashButton,
  attributeCheckName,
  evaluationCheckName,
  gateButtons,
  gateName,
  reportIdOf,
} from '../../reports/index.ts';
import { noteApplication } from '../apply-hash/applications.ts';
import { mayWrite, type Permission } from '../questions.ts';
import type { AskingContext, DeliveryContext } from './context.ts';
import type { CheckRunPayload, CheckSuitePayload } from './payloads.ts';
import { placeOf, projectOf } from './project-of.ts';
import { stopRevision } from './stop-revision.ts';

/** Who pressed is looked up now: the payload does not say what they may do. */
export async function askAboutSender(
  { questions, appId }: AskingContext,
  payload: CheckRunPayload | CheckSuitePayload,
): Promise<Permission> {
  const app = 'check_run' in payload ? payload.check_run.app : payload.check_suite.app;
  if (!questions || app?.id !== appId || payload.installation === undefined) return 'none';
  return questions.permissionOf(placeOf(payload.repository, payload.installation.id), payload.sender.login);
}

const reportRow = z.object({ name: z.string(), revision_id: z.number() });

/** `Re-run` of one check, or a button of ours. */
export async function handleCheckRun(
  context: DeliveryContext,
  payload: CheckRunPayload,
  permission: Permission,
): Promise<string> {
  const { action, check_run: run, sender } = payload;
  if (run.app?.id !== context.appId) return 'Ignored: that check run belongs to another App.';
  const project = await projectOf(context, payload);
  if (typeof project === 'string') return project;
  const report = await reportOf(context.trx, project, run);
  if (!report) return 'Ignored: that check run is none that is known here.';
  const refused = refusal(project, permission, sender.login);
  if (refused) return refused;
  if (action === 'rerequested') return rerun(context, report.revision_id, report.name);
  if (action !== 'requested_action') return `Ignored: the check run was ${action}.`;
  const commit = `commit ${run.head_sha.slice(0, 12)}`;
  switch (payload.requested_action?.identifier) {
    case gateButtons.approve: {
      const approval = { projectId: project.id, sha: run.head_sha, by: sender.login };
      const approved = await approveRevision(context.trx, { ...approval, ...context });
      return approved
        ? `${sender.login} approved ${commit}.`
        : `Ignored: nothing waits for an approval of ${commit}.`;
    }
    case gateButtons.rerunFailed:
      return rerun(context, report.revision_id, gateName);
    case gateButtons.cancel: {
      const stopped = await stopRevision(context, report.revision_id, `Cancelled by ${sender.login}.`);
      return stopped ? `${sender.login} cancelled ${commit}.` : `Ignored: ${commit} is not under way.`;
    }
    case applyHashButton: {
      const { revision_id: revisionId, name: checkName } = report;
      return noteApplication(context, { revisionId, checkName }, sender.login);
    }
    default:
      return 'Ignored: there is no such button.';
  }
}

/** `Re-run all checks` of a commit. */
export async function handleCheckSuite(
  context: DeliveryContext,
  payload: CheckSuitePayload,
  permission: Permission,
): Promise<string> {
  const { action, check_suite: suite, sender } = payload;
  if (action !== 'rerequested') return `Ignored: the check suite was ${action}.`;
  if (suite.app?.id !== context.appId) return 'Ignored: that check suite belongs to another App.';
  const project = await projectOf(context, payload);
  if (typeof project === 'string') return project;
  const refused = refusal(project, permission, sender.login);
  if (refused) return refused;
  const found: unknown = await context
    .trx('revisions')
    .select('id')
    .where({ project_id: project.id, sha: suite.head_sha })
    .first();
  if (found === undefined) return `Ignored: commit ${suite.head_sha.slice(0, 12)} is not known here.`;
  return rerun(context, z.object({ id: z.number() }).parse(found).id, gateName);
}

function refusal(project: Project, permission: Permission, login: string): string | undefined {
  if (!project.enabled) return `Ignored: ${project.owner}/${project.name} is disabled.`;
  if (!mayWrite(permission)) return `Ignored: ${login} has no write permission.`;
  return undefined;
}

/** The report that a run of ours stands for. Ids of other repositories lead nowhere. */
async function reportOf(trx: Knex.Transaction, project: Project, run: CheckRunPayload['check_run']) {
  const id = reportIdOf(run.external_id ?? '');
  if (id === undefined) return undefined;
  const found: unknown = await trx('reports')
    .join('revisions', 'revisions.id', 'reports.revision_id')
    .select('reports.name', 'reports.revision_id')
    .where({ 'reports.id': id, 'revisions.project_id': project.id, 'revisions.sha': run.head_sha })
    .first();
  return found === undefined ? undefined : reportRow.parse(found);
}

/** The check of an attribute tries that attribute again, the others everything that failed. */
async function rerun(context: DeliveryContext, revisionId: number, checkName: string): Promise<string> {
  const whole = checkName === gateName || checkName === evaluationCheckName;
  const outcome = await rerunRevision(context.trx, {
    revisionId,
    scope: 'all',
    ...(whole ? {} : { chosen: (path) => attributeCheckName(path) === checkName }),
    onRevisionChanged: context.onRevisionChanged,
  });
  return rerunInWords(outcome);
}

/** What came of asking for a run, as one sentence. */
export function rerunInWords(outcome: Rerun): string {
  switch (outcome.kind) {
    case 'started': {
      const { attributes, evaluationId } = outcome;
      const what =
        attributes === 0 ? '' : attributes === 1 ? ', 1 attribute anew' : `, ${attributes} attributes anew`;
      return `Queued evaluation ${evaluationId}${what}.`;
    }
    case 'under-way':
      return `Evaluation ${outcome.evaluationId} is still under way.`;
    case 'needs-approval':
      return 'The commit waits for an approval.';
    case 'at-rest':
      return 'An operator of this server has paused the repository.';
    case 'nothing-failed':
      return 'Nothing of it has failed.';
    case 'unknown':
      return 'The commit is not known here.';
  }
}
