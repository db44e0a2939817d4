/** The shapes of the API. Names are stable; times are ISO 8601 in UTC; ids survive renames. */
import { z } from 'zod';
import { checkStates } from '../../builds/index.ts';
import { jobGroups } from '../read/job-counts.ts';
import { buildStates, jobStates } from '../read/jobs.ts';
import { evaluationStates } from '../read/revision-lines.ts';

const time = z.iso.datetime();
const optionalTime = time.nullable();
const id = z.number().int();

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    code: z.string().describe('Stable name of the kind of problem'),
    detail: z.string().optional(),
    requestId: z.string().optional(),
  })
  .meta({ id: 'Problem', description: 'An error after RFC 9457' });

export const countsSchema = z
  .object({ total: id, ...Object.fromEntries(jobGroups.map((group) => [group, id])) })
  .catchall(id)
  .meta({ id: 'JobCounts', description: 'Jobs by group; `allowed` are failures of jobs that may fail' });

export const evaluationSchema = z
  .object({
    id,
    state: z.enum(evaluationStates),
    waitingFor: z.string().nullable().describe('Why it waits, for people'),
    file: z.string().nullable().describe('The file that was evaluated, relative to the repository'),
    evaluator: z.string().nullable(),
    reusedFrom: z
      .object({ evaluationId: id, sha: z.string() })
      .nullable()
      .describe('The earlier evaluation of the same files that it stands on'),
    jobs: id.describe('Attributes found'),
    errors: id.describe('Evaluation errors'),
    counts: countsSchema,
    notices: z.array(z.string()),
    queuedAt: time,
    startedAt: optionalTime,
    evaluatedAt: optionalTime,
    finishedAt: optionalTime,
  })
  .meta({ id: 'Evaluation' });

export const evaluationDetailsSchema = evaluationSchema
  .extend({ revisionId: id, project: z.string(), sha: z.string(), url: z.string() })
  .meta({ id: 'EvaluationDetails' });

export const revisionSchema = z
  .object({
    id,
    project: z.string().describe('owner/name'),
    sha: z.string(),
    title: z.string(),
    author: z.string(),
    trust: z.enum(['trusted', 'needs-approval']),
    trustReason: z.string().nullable(),
    createdAt: time,
    sources: z.array(
      z.object({
        kind: z.enum(['branch', 'pull-request', 'tag']),
        name: z.string(),
        baseBranch: z.string().nullable(),
        title: z.string(),
        seenAt: time,
      }),
    ),
    evaluation: evaluationSchema.nullable().describe('The newest evaluation'),
    url: z.string().describe('The page of this revision'),
  })
  .meta({ id: 'Revision' });

export const projectSchema = z
  .object({
    id,
    githubRepositoryId: id,
    owner: z.string(),
    name: z.string(),
    defaultBranch: z.string(),
    private: z.boolean(),
    enabled: z
      .boolean()
      .describe('False: at rest, paused by an operator or gone from the App’s installation'),
    pausedAt: optionalTime.describe('When an operator paused it'),
    createdAt: time,
    head: revisionSchema.nullable().describe('The newest revision of the default branch'),
    url: z.string(),
  })
  .meta({ id: 'Project' });

export const jobSchema = z
  .object({
    id,
    evaluationId: id,
    path: z.array(z.string()).describe('Attribute path; names are any strings, the root is empty'),
    attribute: z.string().describe('The path as Nix would write it'),
    state: z.enum(jobStates),
    mark: z.string().describe('What its failure means: regular, may-fail, must-fail, …'),
    drvPath: z.string().nullable(),
    name: z.string().nullable(),
    system: z.string().nullable(),
    outputs: z.record(z.string(), z.string().nullable()).nullable(),
    buildId: id.nullable(),
    message: z.string().nullable().describe('Why it failed, in the words of Nix'),
    error: z
      .object({
        message: z.string(),
        file: z.string().nullable(),
        line: id.nullable(),
        column: id.nullable(),
      })
      .nullable()
      .describe('The evaluation error, if there is no derivation'),
    startedAt: optionalTime,
    finishedAt: optionalTime,
  })
  .meta({ id: 'Job' });

export const attemptSchema = z
  .object({
    id,
    checkId: id.nullable().describe('It was built again only for that check of the build'),
    builder: z.string(),
    state: z.enum(['running', 'ended', 'lost']),
    status: z.string().nullable(),
    message: z.string(),
    startedAt: time,
    finishedAt: optionalTime,
    logBytes: id,
    logLines: id,
    logComplete: z.boolean(),
    phases: z
      .array(
        z.object({ name: z.string(), line: id.describe('From 1'), byte: id.describe('Offset in the log') }),
      )
      .describe('Where the phases of the build begin in its log'),
  })
  .meta({ id: 'Attempt' });

export const checkSchema = z
  .object({
    id,
    state: z.enum(checkStates),
    message: z.string().describe('Of a bad end: the output that differs, and the words of Nix'),
    askedBy: z.string(),
    builder: z.string().nullable(),
    attemptId: id.nullable().describe('Its newest attempt, which has the log'),
    createdAt: time,
    finishedAt: optionalTime,
  })
  .meta({ id: 'Check', description: 'A build that was built again, to see whether the same comes out' });

export const buildSchema = z
  .object({
    id,
    drvPath: z.string(),
    name: z.string(),
    system: z.string(),
    requiredFeatures: z.array(z.string()),
    outputs: z.record(z.string(), z.unknown()),
    state: z.enum(buildStates),
    message: z.string(),
    culpritBuildId: id.nullable().describe('The build whose failure is the cause of this one'),
    cachedFailureOf: id
      .nullable()
      .describe('The build whose failure stands for this one, which was not tried'),
    specifiedHash: z.string().nullable().describe('Of an output-mismatch: the hash the derivation promises'),
    gotHash: z.string().nullable().describe('Of an output-mismatch: the hash its output has'),
    cancelRequestedAt: optionalTime.describe('It is to be cancelled as soon as its builder has stopped'),
    priority: z.number().int().describe('Higher is sooner'),
    createdAt: time,
    startedAt: optionalTime,
    finishedAt: optionalTime,
    attempts: z.array(attemptSchema).describe('Newest first, those of checks behind them'),
    checks: z.array(checkSchema).describe('Newest first'),
    keptAt: optionalTime.describe('Since when somebody keeps its results'),
  })
  .meta({ id: 'Build' });

export const queuedBuildSchema = z
  .object({
    id,
    name: z.string(),
    drvPath: z.string(),
    system: z.string(),
    requiredFeatures: z.array(z.string()),
    state: z.enum(buildStates),
    builder: z.string().nullable(),
    waitsFor: z.string().nullable().describe('Name of an input that is not built yet'),
    createdAt: time,
    startedAt: optionalTime,
  })
  .meta({ id: 'QueuedBuild' });

export const importSchema = z
  .object({
    buildId: id,
    name: z.string(),
    drvPath: z.string(),
    system: z.string(),
    state: z.enum(buildStates),
    message: z.string(),
    startedAt: optionalTime,
    finishedAt: optionalTime,
  })
  .meta({ id: 'Import' });

/** A page of a list. */
export function listOf<S extends z.ZodType>(item: S) {
  return z.object({
    items: z.array(item),
    nextCursor: z.string().nullable().describe('Pass as `cursor` for the next page; null on the last one'),
  });
}
