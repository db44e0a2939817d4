import type { FC } from 'hono/jsx';
import { formatNumber } from '../format.ts';
import { buildLink, jobLink } from '../links.ts';
import type { BuilderRow } from '../read/machines.ts';
import type { QueueRow, QueueTotals } from '../read/queue.ts';
import { buildFace } from '../words.ts';
import { type Frame, Layout, renderPage } from './layout.tsx';
import { Banner, Duration, Empty, Mark } from './parts.tsx';
import { about, waitingReason } from './waiting.ts';

export interface QueuePage {
  readonly frame: Frame;
  readonly rows: readonly QueueRow[];
  readonly totals: QueueTotals;
  readonly builders: readonly BuilderRow[];
  readonly now: Date;
}

/** What runs where, and what waits for what. */
export function queuePage({ frame, rows, totals, builders, now }: QueuePage): Promise<string> {
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
        {total > 0 && !builders.some((builder) => builder.connected) ? (
          <Banner tone="attention" title="No builder is connected">
            Nothing of this is built until one is. <a href="/builders">Builders</a>
          </Banner>
        ) : null}
        {rows.length === 0 ? (
          <Empty title="Nothing to build">
            <p>Every build has ended. New ones come with the next push.</p>
          </Empty>
        ) : (
          <ul class="rows jobs">
            {rows.map((row) => (
              <QueueLine row={row} builders={builders} now={now} />
            ))}
          </ul>
        )}
        {rows.length > 0 ? (
          <p class="more">
            {total > rows.length
              ? `The first ${formatNumber(rows.length)} of ${formatNumber(total)}. `
              : null}
            The order: priority; then what few builders can take; then the project that has least running;
            then what most work waits for.
          </p>
        ) : null}
      </div>
    </Layout>,
  );
}

const QueueLine: FC<{ row: QueueRow; builders: readonly BuilderRow[]; now: Date }> = ({
  row,
  builders,
  now,
}) => {
  const face = buildFace(row.state);
  const { owner, project, sha, path } = row;
  const job = owner !== null && project !== null && sha !== null && path !== null;
  const name = <span class="attribute">{row.name}</span>;
  return (
    <li id={`build-${row.id}`} class="row queue-line">
      <Mark face={face} />
      <div class="main">
        {job ? (
          <a class="name" href={jobLink({ owner, project, sha, path })}>
            {name}
          </a>
        ) : (
          <a class="name" href={buildLink(row.id)}>
            {name}
          </a>
        )}
        {row.priority === 0 ? null : (
          <span class="tag" title="Higher is sooner">
            priority {row.priority > 0 ? '+' : ''}
            {row.priority}
          </span>
        )}
      </div>
      <span class="sub">
        <span class={`word ${face.tone}`}>{row.state === 'building' ? 'building' : 'waits'}</span>
        <span class="cause">
          {row.state === 'building' ? whereItRuns(row) : waitingReason(row, builders, now)}
        </span>
        {row.state !== 'building' && row.message ? (
          <span class="trouble">{row.message.split('\n')[0]}</span>
        ) : null}
      </span>
      <span class="system">{job ? `${owner}/${project}` : row.system}</span>
      <span class="activity">
        <Duration from={row.started_at ?? row.created_at} to={null} now={now} />
        <Outlook row={row} now={now} />
      </span>
    </li>
  );
};

function whereItRuns({ builder, phase }: QueueRow): string {
  if (builder === null) return 'starting';
  return `on ${builder}${phase === null ? '' : `, ${phase}`}`;
}

/** What history says: how long a running one will take, and how much hangs on a waiting one. */
const Outlook: FC<{ row: QueueRow; now: Date }> = ({ row, now }) => {
  if (row.state === 'building') {
    if (row.expected_ms === null || row.started_at === null) return null;
    const left = row.started_at.getTime() + row.expected_ms - now.getTime();
    return <span class="outlook">{left > 0 ? `${about(left)} left` : 'longer than usual'}</span>;
  }
  if (row.remaining_ms <= 0) return null;
  return (
    <span class="outlook" title="The longest way from its start to the end of all that waits for it">
      {about(row.remaining_ms)} of work
    </span>
  );
};
