/** A run as one line an event: for pipes, CI logs, terminals that cannot do more, and --quiet. */

import { stateWords } from '../../builds/index.ts';
import { isGood } from '../../nix/index.ts';
import type { Style, Tone } from '../terminal/style.ts';
import { count, formatSeconds, pad, plainLine } from '../terminal/text.ts';
import type { Journal } from './journal.ts';
import type { LogTails } from './log-tails.ts';
import type { RunReporter, RunStart } from './reporter.ts';
import { verdictLines } from './verdict.ts';
import {
  buildLabel,
  derivationLabel,
  errorLine,
  explanation,
  markOf,
  pathLabel,
  resultWord,
} from './words.ts';

export interface LinesOptions {
  readonly write: (text: string) => void;
  readonly style: Style;
  readonly journal: Journal;
  readonly tails: LogTails;
  /** Log lines as they are written. */
  readonly logs: boolean;
  /** Failures with their logs at the end. */
  readonly details: boolean;
}

/** Width of `dependency failed`, the longest ordinary word. */
const wordColumns = 17;

export function createLineReporter(options: LinesOptions): RunReporter {
  const { write, style, journal, tails } = options;
  let begun: RunStart | undefined;
  const say = (tone: Tone, word: string, text: string) =>
    write(`${style.paint(tone, pad(word, wordColumns))}  ${text}\n`);
  const label = (drvPath: string) => buildLabel(drvPath, journal.jobsOf(drvPath));

  return {
    started(start) {
      begun = start;
    },
    evaluated(event) {
      switch (event.type) {
        case 'started':
          return say('accent', 'evaluating', `${plainLine(event.file)} with ${event.evaluator}`);
        case 'notice':
          return say('attention', 'notice', plainLine(event.message));
        case 'error':
          return say('danger', 'error', `${pathLabel(event.path)}  ${errorLine(event)}`);
        case 'job':
          return say(
            'plain',
            'job',
            `${pathLabel(event.path)}  ${plainLine(`${event.name} (${event.system})`)}`,
          );
      }
    },
    imported(event) {
      const name = derivationLabel(event.drvPath);
      switch (event.type) {
        case 'started':
          return say('accent', 'building', `${name}  (to evaluate)`);
        case 'finished': {
          const good = isGood(event.end.status);
          const why = plainLine(event.end.message.split('\n', 1)[0] ?? '');
          return say(good ? 'success' : 'danger', event.end.status, `${name}${good ? '' : `  ${why}`}`);
        }
        case 'phase':
          return options.logs ? say('muted', 'phase', `${name}: ${plainLine(event.phase)}`) : undefined;
        case 'log':
          return options.logs
            ? say('muted', 'log', `${name}> ${plainLine(event.line.toString('utf8'))}`)
            : undefined;
      }
    },
    evaluationEnded(seconds) {
      const { jobs, errors } = journal.counts();
      say(
        'accent',
        'evaluated',
        `${count(jobs, 'job')}, ${count(errors, 'error')} in ${formatSeconds(seconds)}`,
      );
    },
    building(event, results) {
      for (const result of results) {
        const { tone } = markOf(result.state, result.good, style);
        say(tone, resultWord(result), `${pathLabel(result.job.path)}${explanation(result, label)}`);
      }
      switch (event.type) {
        case 'planned':
          // Building begins while the evaluation goes on: how much it is, is known at the end.
          if (event.complete) say('accent', 'to build', count(event.toBuild, 'derivation'));
          return;
        case 'started':
          return say('accent', 'building', label(event.drvPath));
        case 'retrying':
          return say('attention', 'trying again', `${label(event.drvPath)}  ${plainLine(event.message)}`);
        case 'phase':
          return options.logs
            ? say('muted', 'phase', `${label(event.drvPath)}: ${plainLine(event.phase)}`)
            : undefined;
        case 'log':
          return options.logs
            ? say('muted', 'log', `${label(event.drvPath)}> ${plainLine(event.line.toString('utf8'))}`)
            : undefined;
        case 'finished': {
          if (results.length > 0) return;
          const { tone } = markOf(event.state, event.state === 'succeeded', style);
          return say(
            tone,
            stateWords[event.state],
            `${derivationLabel(event.drvPath)}${explanation(event, label)}`,
          );
        }
      }
    },
    async ended(summary) {
      const { details } = options;
      const lines = await verdictLines({ journal, tails, style, start: begun, summary, details });
      write(`${lines.join('\n')}\n`);
    },
    abandon() {},
  };
}
