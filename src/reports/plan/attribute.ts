/** The check of one attribute: what happened, what to look at, how to have the same at home. */
import { isFailure } from '../../builds/index.ts';
import type { BuildFacts, JobFacts, ReportFacts } from '../facts.ts';
import { cutBytesVisibly, cutText, limits } from '../limits.ts';
import { jobUrl } from '../links.ts';
import { fenced, inlineCode, joinWithin, plainLine, plainText, present, safeInline } from '../markdown.ts';
import { displayPath } from '../names.ts';
import type { Annotation, DesiredCheck } from '../types.ts';
import { applyButton, applyWords } from './apply-hash.ts';
import { reproductionLines } from './reproduce.ts';
import type { OwnCheck } from './selection.ts';
import { saysMore, shortCause } from './short-cause.ts';
import { durationOf } from './verdict.ts';

/** Bytes of one block of Nix's words; the log below says the rest. */
const messageBytes = 8 * 1024;

export function planAttribute(facts: ReportFacts, check: OwnCheck, publicUrl: string): DesiredCheck {
  const { job, verdict } = check.judged;
  const text = attributeText(job);
  const base = {
    kind: 'check',
    name: check.name,
    title: cutText(verdict.sentence, limits.title),
    summary: attributeSummary(facts, check),
    ...(text === undefined ? {} : { text }),
    detailsUrl: jobUrl(publicUrl, facts, job.path),
    ...(job.build?.startedAt && !job.cached ? { startedAt: job.build.startedAt.toISOString() } : {}),
    annotations: [],
  } as const;
  if (verdict.conclusion) {
    return {
      ...base,
      annotations: annotate(check),
      ...applyButton(facts, job),
      status: 'completed',
      conclusion: verdict.conclusion,
      ...completion(job, facts),
    };
  }
  return { ...base, status: verdict.phase === 'building' ? 'in_progress' : 'queued' };
}

/** Where the log says that something is wrong; of what may fail it is no failure. */
function annotate({ judged: { job, verdict } }: OwnCheck): readonly Annotation[] {
  if (!job.build || !isFailure(job.build.state)) return [];
  return (job.build.places ?? []).map(({ path, line, column, message, level }) => ({
    path,
    startLine: line,
    endLine: line,
    ...(column === undefined ? {} : { startColumn: column }),
    level: verdict.phase === 'bad' ? level : 'warning',
    title: cutText(attributeTitle(job), limits.annotationTitle),
    message: cutBytesVisibly(plainText(message), limits.annotationMessageBytes) || 'No message.',
  }));
}

function attributeTitle({ path, build }: JobFacts): string {
  const whose = build?.culprit ? plainLine(build.culprit.name) : displayPath(path);
  return `${whose} does not build`;
}

/** A build outlives the cancelled evaluation that wanted it: its check ends with the evaluation. */
function completion(job: JobFacts, facts: ReportFacts): { readonly completedAt?: string } {
  const { evaluation } = facts;
  const known = job.error || job.cached ? evaluation?.evaluatedAt : job.build?.finishedAt;
  const ended = known ?? evaluation?.finishedAt;
  return ended ? { completedAt: ended.toISOString() } : {};
}

function attributeSummary(facts: ReportFacts, { judged }: OwnCheck): string {
  const { job, verdict, label } = judged;
  const rows = present([
    `- Attribute: ${inlineCode(label)}`,
    job.drvPath && `- Derivation: ${inlineCode(job.drvPath)}`,
    job.system && `- System: ${inlineCode(job.system)}`,
    job.build?.builder && `- Builder: ${inlineCode(job.build.builder)}`,
    job.build && durationOf(job.build) && `- Duration: ${durationOf(job.build)}`,
    markWords[job.mark] && `- Mark: ${markWords[job.mark]}`,
  ]);
  const file = facts.evaluation?.file;
  const reproduce = reproductionLines({ sha: facts.sha, file, path: job.path });
  const blocks = [
    rows.join('\n'),
    ...messageWords(job, verdict.sentence),
    ...hashWords(job),
    ...applyWords(facts, job),
    ...(reproduce === undefined
      ? []
      : [`To do the same in a clone of this repository:\n\n${fenced(reproduce, 'sh')}`]),
  ];
  const head = `${verdict.shape} ${safeInline(cutText(verdict.sentence, 500))}`;
  return joinWithin(head, blocks, () => '', '\n\n');
}

/** What to write where the promised hash stands; Nix' own words for it are easily overlooked. */
function hashWords({ build }: JobFacts): readonly string[] {
  if (!build?.hashes || !isFailure(build.state)) return [];
  const { specified, got } = build.hashes;
  const rows = [`- specified: ${inlineCode(specified, 200)}`, `- got: ${inlineCode(got, 200)}`];
  return [
    `What was fetched has another hash than was promised. If it is what you want, write the second in place of the first:\n\n${rows.join('\n')}`,
  ];
}

const markWords = {
  regular: '',
  'may-fail': 'allowed to fail',
  'must-fail': 'must fail',
  // Built like any other for now.
  'dependencies-only': '',
  effect: '',
} as const;

/** Nix's own words, where they say more than the sentence above them. */
function messageWords({ error, build }: JobFacts, sentence: string): readonly string[] {
  if (error) return [fenced(cutBytesVisibly(error.message, messageBytes))];
  if (!build) return [];
  const { culprit } = build;
  if (culprit && isFailure(build.state) && !saysMore(culprit.message)) {
    const cause = cutText(shortCause(culprit.message), 500);
    return [`${inlineCode(culprit.name)} did not build${cause === '' ? '' : `: ${safeInline(cause)}`}.`];
  }
  const parts = [build.message, culprit?.message ?? ''].filter(
    (part) => part !== '' && (saysMore(part) || !sentence.includes(shortCause(part))),
  );
  return parts.length === 0 ? [] : [fenced(cutBytesVisibly(parts.join('\n'), messageBytes))];
}

function attributeText(job: JobFacts): string | undefined {
  const log = job.build?.log;
  if (!job.build || !log || log.lines.length === 0) return undefined;
  const lines = plainText(log.lines.join('\n')).split('\n');
  return logBlock(job.build, lines, Math.max(log.totalLines, lines.length));
}

/** The end of the log: as many of the last lines as fit. */
function logBlock(build: BuildFacts, lines: readonly string[], total: number): string {
  // The fence is at most as long as the lines, and is there twice; a quarter is left for the words.
  const room = Math.floor(limits.outputBytes / 4);
  let size = 0;
  let from = lines.length;
  for (let index = lines.length - 1; index >= 0; index--) {
    size += Buffer.byteLength(lines[index] ?? '', 'utf8') + 1;
    if (size > room) break;
    from = index;
  }
  // One line larger than all the room: its beginning says more than nothing.
  const kept = from === lines.length ? [cutBytesVisibly(lines.at(-1) ?? '', room)] : lines.slice(from);
  const whose = build.culprit ? ` of ${inlineCode(build.culprit.name)}` : '';
  const count =
    kept.length === total ? `Log${whose}` : `Last ${kept.length} of ${total} lines of the log${whose}`;
  return `${count}:\n\n${fenced(kept.join('\n'))}`;
}
