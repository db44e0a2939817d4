/** A run on a terminal: failures stay, what is going on now is drawn again and again below them. */
import { stateWords } from '../../builds/index.ts';
import { type LiveLine, openLiveArea, type TerminalStream } from '../terminal/live-area.ts';
import type { Style, Tone } from '../terminal/style.ts';
import { count, cutTo, formatSeconds, pad, plainLine, widthOf } from '../terminal/text.ts';
import type { Journal } from './journal.ts';
import type { LogTails } from './log-tails.ts';
import type { RunReporter, RunStart } from './reporter.ts';
import { verdictLines } from './verdict.ts';
import { buildLabel, errorLine, explanation, markOf, pathLabel, resultWord } from './words.ts';

export interface LiveOptions {
  readonly stream: TerminalStream;
  readonly style: Style;
  readonly journal: Journal;
  readonly tails: LogTails;
}

interface RunningBuild {
  readonly drvPath: string;
  readonly since: number;
  phase: string;
}

/** Names take at most this much of a line, so that log lines keep some. */
const nameShare = 0.4;

/** Draws until `ended` or `abandon`, then leaves the terminal as it was. */
export function createLiveReporter({ stream, style, journal, tails }: LiveOptions): RunReporter {
  const running = new Map<string, RunningBuild>();
  const begin = performance.now();
  let begun: RunStart | undefined;
  let doing = 'starting';
  let toBuild: number | undefined;
  let planned = false;
  let builtInputs = 0;

  const label = (drvPath: string) => buildLabel(drvPath, journal.jobsOf(drvPath));
  const line = (tone: Tone, head: string, tail: string, columns: number): LiveLine => {
    const first = cutTo(head, columns);
    const rest = cutTo(tail, columns - widthOf(first));
    return { plain: first + rest, painted: style.paint(tone, first) + style.paint('muted', rest) };
  };

  const countsLine = (columns: number): LiveLine => {
    const { jobs, errors, succeeded, cached, failed, timedOut, dependencyFailed } = journal.counts();
    const elapsed = formatSeconds(secondsSince(begin));
    if (toBuild === undefined) {
      const found = `${count(jobs, 'job')}${errors > 0 ? `, ${count(errors, 'error')}` : ''}`;
      return line('accent', `${style.shapes.working} ${doing}`, `  ${found}  ${elapsed}`, columns);
    }
    const bad = failed + timedOut + dependencyFailed;
    const parts = [
      ...(planned ? [] : [`evaluating, ${count(jobs, 'job')}`]),
      `${running.size} building`,
      `${succeeded + builtInputs} of ${toBuild} built`,
    ];
    if (cached > 0) parts.push(`${cached} cached`);
    if (bad > 0) parts.push(`${bad} failed`);
    if (errors > 0) parts.push(count(errors, 'evaluation error'));
    return line('strong', parts.join(', '), `  ${elapsed}`, columns);
  };

  const draw = (columns: number, rows: number): LiveLine[] => {
    const builds = [...running.values()];
    const room = Math.max(0, rows - 2);
    const shown = builds.slice(0, room);
    const nameColumns = Math.min(
      Math.floor(columns * nameShare),
      Math.max(0, ...shown.map((build) => widthOf(label(build.drvPath)))),
    );
    const lines = shown.map((build) => {
      const name = pad(cutTo(label(build.drvPath), nameColumns), nameColumns);
      const phase = build.phase === '' ? '' : `  ${build.phase}`;
      const log = plainLine(tails.lastOf(build.drvPath));
      const after = `${phase}  ${formatSeconds(secondsSince(build.since))}  ${log}`;
      return line('accent', `${style.shapes.working} ${name}`, after, columns);
    });
    return [...lines, countsLine(columns)];
  };

  const area = openLiveArea({ stream, draw });
  return {
    started(start) {
      begun = start;
      const revision = start.revision === undefined ? '' : ` at ${start.revision.slice(0, 12)}`;
      area.print(style.paint('strong', `${plainLine(start.checkout)}${revision}`));
      doing = `evaluating with ${start.evaluator}`;
    },
    evaluated(event) {
      if (event.type === 'started') doing = `evaluating ${plainLine(event.file)}`;
      if (event.type === 'notice') {
        area.print(`${style.paint('attention', style.shapes.attention)} ${plainLine(event.message)}`);
      }
      if (event.type === 'error') {
        const text = `${style.shapes.bad} ${pathLabel(event.path)}: ${errorLine(event)}`;
        area.print(style.paint('danger', text));
      }
      area.refresh();
    },
    imported(event) {
      const { drvPath } = event;
      if (event.type === 'started') {
        running.set(drvPath, { drvPath, since: performance.now(), phase: '' });
      } else if (event.type === 'finished') running.delete(drvPath);
      else if (event.type === 'phase') {
        const build = running.get(drvPath);
        if (build) build.phase = plainLine(event.phase);
      }
      // Its failure is told with the attribute that reads it.
      area.refresh();
    },
    evaluationEnded() {
      doing = 'asking the store what is missing';
      area.refresh();
    },
    building(event, results) {
      if (event.type === 'planned') {
        if (event.toBuild > 0 || event.complete) toBuild = event.toBuild;
        planned ||= event.complete;
      } else if (event.type === 'started') {
        running.set(event.drvPath, { drvPath: event.drvPath, since: performance.now(), phase: '' });
      } else if (event.type === 'phase') {
        const build = running.get(event.drvPath);
        if (build) build.phase = plainLine(event.phase);
      } else if (event.type === 'retrying') {
        area.print(
          `${style.paint('attention', style.shapes.attention)} trying ${label(event.drvPath)} again: ${plainLine(event.message)}`,
        );
      } else if (event.type === 'finished') {
        running.delete(event.drvPath);
        if (results.length === 0 && event.state === 'succeeded') builtInputs += 1;
        // Cancelled and fallen ones come in heaps; the end tells of them.
        const own = event.culprit === undefined && event.state !== 'cancelled' && event.state !== 'succeeded';
        const spoiled = results.length === 0 || results.some((result) => !result.good);
        if (own && spoiled) {
          const { shape, tone } = markOf(event.state, false, style);
          const word = results[0] ? resultWord(results[0]) : stateWords[event.state];
          area.print(
            style.paint(tone, `${shape} ${label(event.drvPath)}: ${word}${explanation(event, label)}`),
          );
        }
      }
      area.refresh();
    },
    async ended(summary) {
      area.close();
      const lines = await verdictLines({ journal, tails, style, start: begun, summary, details: true });
      stream.write(`${lines.join('\n')}\n`);
    },
    abandon: () => area.close(),
  };
}

function secondsSince(moment: number): number {
  return (performance.now() - moment) / 1000;
}
