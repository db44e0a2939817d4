import type { FC } from 'hono/jsx';
import { countOf, formatNumber } from '../format.ts';
import { jobLink } from '../links.ts';
import type { BuilderRow, QueueRow, QueueTotals } from '../read/machines.ts';
import { buildFace, type StateFace } from '../words.ts';
import { type Frame, Layout, renderPage } from './layout.tsx';
import { Ago, Duration, Empty, Mark } from './parts.tsx';

export interface BuildersPage {
  readonly frame: Frame;
  readonly builders: readonly BuilderRow[];
  readonly now: Date;
}

/** The machines that build. */
export function buildersPage({ frame, builders, now }: BuildersPage): Promise<string> {
  const slots = builders.reduce((sum, builder) => sum + builder.slots, 0);
  const running = builders.reduce((sum, builder) => sum + builder.running, 0);
  return renderPage(
    <Layout frame={{ ...frame, here: 'builders' }} title="Builders">
      <div class="heading">
        <h1>Builders</h1>
        <p class="aside number" id="totals" data-live>
          {running} of {countOf(slots, 'slot')} in use
        </p>
      </div>
      <div id="builders" data-live>
        {builders.length === 0 ? (
          <Empty title="No builder yet">
            <p>
              Where Nix is installed, <code>ringmaster serve</code> registers this machine by itself.{' '}
              <code>ringmaster doctor</code> says what is missing.
            </p>
          </Empty>
        ) : (
          <ul class="rows">
            {builders.map((builder) => (
              <BuilderLine builder={builder} now={now} />
            ))}
          </ul>
        )}
      </div>
    </Layout>,
  );
}

const connected: StateFace = { word: 'connected', shape: 'tick', tone: 'success' };
const away: StateFace = { word: 'away', shape: 'slash', tone: 'muted' };

const BuilderLine: FC<{ builder: BuilderRow; now: Date }> = ({ builder, now }) => (
  <li id={`builder-${builder.id}`} class="row builder-line">
    <Mark face={builder.connected ? connected : away} silent large />
    <div class="main">
      <span class="name">{builder.name}</span>
      <p class="sub">
        <span>{builder.connected ? connected.word : away.word}</span>
        <span>{builder.kind}</span>
        {builder.systems.map((system) => (
          <span class="tag">{system}</span>
        ))}
        {builder.features.map((feature) => (
          <span class="tag soft">{feature}</span>
        ))}
      </p>
    </div>
    <div class="result slots">
      <span class="number">
        {builder.running} of {builder.slots}
      </span>
      <svg class="counts-bar" aria-hidden="true">
        <rect
          class="bar-running"
          width={`${Math.min(100, (builder.running / Math.max(1, builder.slots)) * 100)}%`}
          height="100%"
        />
      </svg>
    </div>
    <div class="when">
      <span>seen</span> <Ago date={builder.seen_at} now={now} />
    </div>
  </li>
);

export interface QueuePage {
  readonly frame: Frame;
  readonly rows: readonly QueueRow[];
  readonly totals: QueueTotals;
  readonly now: Date;
}

/** What runs where, and what waits for what. */
export function queuePage({ frame, rows, totals, now }: QueuePage): Promise<string> {
  const total = totals.building + totals.queued + totals.blocked;
  return renderPage(
    <Layout frame={{ ...frame, here: 'queue' }} title="Queue">
      <div class="heading">
        <h1>Queue</h1>
        <p class="aside number" id="totals" data-live>
          {formatNumber(totals.building)} building, {formatNumber(totals.queued)} ready,{' '}
          {formatNumber(totals.blocked)} waiting for inputs
        </p>
      </div>
      <div id="queue" data-live>
        {rows.length === 0 ? (
          <Empty title="Nothing to build">
            <p>Every build has ended. New ones come with the next push.</p>
          </Empty>
        ) : (
          <ul class="rows jobs">
            {rows.map((row) => (
              <QueueLine row={row} now={now} />
            ))}
          </ul>
        )}
        {total > rows.length && rows.length > 0 ? (
          <p class="more">
            The first {formatNumber(rows.length)} of {formatNumber(total)}.
          </p>
        ) : null}
      </div>
    </Layout>,
  );
}

function waitsFor(row: QueueRow): string {
  if (row.state === 'building') return row.builder ? `on ${row.builder}` : 'starting';
  if (row.waits_for) {
    const others = row.pending_inputs - 1;
    return `for ${row.waits_for}${others > 0 ? ` and ${others} more` : ''}`;
  }
  const features = row.required_features.length > 0 ? ` with ${row.required_features.join(', ')}` : '';
  return `for a builder of ${row.system}${features}`;
}

const QueueLine: FC<{ row: QueueRow; now: Date }> = ({ row, now }) => {
  const face = buildFace(row.state);
  const { owner, project, sha, path } = row;
  const job = owner !== null && project !== null && sha !== null && path !== null;
  return (
    <li id={`build-${row.id}`} class="row job-line">
      <Mark face={face} />
      {job ? (
        <a class="name" href={jobLink({ owner, project, sha, path })}>
          <span class="attribute">{row.name}</span>
        </a>
      ) : (
        <span class="name">
          <span class="attribute">{row.name}</span>
        </span>
      )}
      <span class="sub">
        <span class={`word ${face.tone}`}>{row.state === 'building' ? 'building' : 'waits'}</span>
        <span class="cause">{waitsFor(row)}</span>
      </span>
      <span class="system">{job ? `${owner}/${project}` : row.system}</span>
      <span class="activity">
        <Duration from={row.started_at ?? row.created_at} to={null} now={now} />
      </span>
    </li>
  );
};
