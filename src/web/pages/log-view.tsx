import { raw } from 'hono/html';
import type { FC } from 'hono/jsx';
import type { LogPhase } from '../../logs/index.ts';
import { countOf, formatBytes, formatNumber } from '../format.ts';
import { type LogLine, renderLog } from '../log-lines.ts';
import type { AttemptRow } from '../read/builds.ts';
import { type LogWindow, windowLines } from '../read/log-window.ts';

export interface LogView {
  readonly attempt: AttemptRow;
  readonly window: LogWindow;
  /** Those of the whole log, as Nix told them. */
  readonly phases: readonly LogPhase[];
  /** Whether more will come, so that the script follows it. */
  readonly live: boolean;
  /** Number of the line that first says what went wrong, in the whole log. */
  readonly firstError: number | undefined;
  /** Address of the page's own stream. */
  readonly stream: string;
}

/** The log of an attempt: a window of lines with numbers that can be linked to. */
export const Log: FC<{ view: LogView }> = ({ view }) => {
  const { attempt, window, live, firstError } = view;
  const lines = renderLog(window.bytes);
  const last = window.firstLine + lines.length - 1;
  const phases = phasesOf(view, lines);
  const to = (line: number) =>
    line >= window.firstLine && line <= last ? `#L${line}` : `?attempt=${attempt.id}&line=${line}#L${line}`;
  const rawLog = `/api/v1/builds/${attempt.build_id}/log?attempt=${attempt.id}`;
  return (
    <section class="log-view" aria-label="Log">
      <div class="log-bar">
        <h2>Log</h2>
        <span class="number" data-log-size>
          {countOf(Math.max(attempt.log_lines, last, 0), 'line')}, {formatBytes(attempt.log_bytes)}
        </span>
        {firstError === undefined ? null : (
          <a class="first-error" href={to(firstError)}>
            First error: line {formatNumber(firstError)}
          </a>
        )}
        {live ? (
          <button type="button" class="follow" data-follow aria-pressed="false" hidden>
            Follow
          </button>
        ) : null}
        {window.reachesEnd && last > 40 ? <a href={`#L${last}`}>End</a> : null}
        <a href={rawLog} download={`build-${attempt.build_id}-attempt-${attempt.id}.log`}>
          Raw
        </a>
      </div>
      {phases.length > 1 ? (
        <nav class="phases" aria-label="Phases">
          {phases.map(({ phase, line }) => (
            <a href={to(line)}>{phase.replace(/Phase$/, '')}</a>
          ))}
        </nav>
      ) : null}
      {window.firstLine > 1 ? (
        <p class="more">
          <a href={to(window.firstLine - 1)}>
            Earlier lines, {formatNumber(Math.max(1, window.firstLine - windowLines))} to{' '}
            {formatNumber(window.firstLine - 1)}
          </a>
        </p>
      ) : null}
      <div
        class="log"
        id="log"
        role="log"
        tabindex={0}
        aria-label="Output of the build"
        data-stream={live && window.reachesEnd ? view.stream : undefined}
        data-attempt={attempt.id}
        data-from={window.nextByte}
        data-next-line={last + 1}
      >
        {lines.map(({ html, phase }, index) => (
          <div
            class={lineClass(phase, window.firstLine + index === firstError)}
            id={`L${window.firstLine + index}`}
          >
            <a href={`#L${window.firstLine + index}`} tabindex={-1}>
              {window.firstLine + index}
            </a>
            <code>{raw(html)}</code>
          </div>
        ))}
        {lines.length === 0 ? (
          <p class="none" data-no-lines>
            {live ? 'No output yet.' : 'This build printed nothing.'}
          </p>
        ) : null}
      </div>
      {window.reachesEnd ? null : (
        <p class="more">
          <a href={to(last + 1)}>Later lines</a> <a href={`?attempt=${attempt.id}`}>End of the log</a>
        </p>
      )}
    </section>
  );
};

function lineClass(phase: string | undefined, failed: boolean): string {
  return `l${phase === undefined ? '' : ' phase'}${failed ? ' culprit' : ''}`;
}

/** As Nix told them; builders that do not tell print them, at least. */
function phasesOf({ phases, window }: LogView, lines: readonly LogLine[]) {
  if (phases.length > 0) return phases.map(({ name, line }) => ({ phase: name, line: line + 1 }));
  return lines.flatMap(({ phase }, index) =>
    phase === undefined ? [] : [{ phase, line: window.firstLine + index }],
  );
}
