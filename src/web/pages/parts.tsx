/** The small parts every page is made of. */
import type { Child, FC } from 'hono/jsx';
import { formatAttributePath } from '../../evaluations/index.ts';
import { formatAbsolute, formatAgo, formatDuration, formatNumber, shortSha } from '../format.ts';
import { type JobCounts, jobGroups, totalJobs } from '../read/job-counts.ts';
import { groupFaces, groupWords, type Shape, type StateFace } from '../words.ts';

/** The shape of a state; the word stands beside it or, where there is no room, in its title. */
export const Mark: FC<{ face: StateFace; silent?: boolean; large?: boolean }> = ({ face, silent, large }) => (
  <span class={`mark ${face.tone}${large ? ' large' : ''}`} title={silent ? face.word : undefined}>
    <svg viewBox="0 0 16 16" aria-hidden="true" class={face.shape === 'half' ? 'turning' : undefined}>
      <use href={`#s-${face.shape}`} />
    </svg>
    {silent ? <span class="unseen">{face.word}</span> : null}
  </span>
);

/** Shape and word. */
export const State: FC<{ face: StateFace }> = ({ face }) => (
  <span class={`state ${face.tone}`}>
    <Mark face={face} />
    <span>{face.word}</span>
  </span>
);

/** The word alone, where the shape stands close by. */
export const Word: FC<{ face: StateFace }> = ({ face }) => (
  <span class={`word ${face.tone}`}>{face.word}</span>
);

/** Drawn once a page and used by every mark. */
export const ShapeSymbols: FC = () => (
  <svg class="symbols" aria-hidden="true">
    {shapes.map(([name, drawing]) => (
      <symbol id={`s-${name}`} viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="2">
        {drawing}
      </symbol>
    ))}
  </svg>
);

const disc = <circle cx="8" cy="8" r="8" fill="currentColor" stroke="none" />;
const ring = <circle cx="8" cy="8" r="6.5" />;
const rounded = { 'stroke-linecap': 'round', 'stroke-linejoin': 'round' } as const;

const shapes: readonly (readonly [Shape, Child])[] = [
  ['circle', <circle cx="8" cy="8" r="6" stroke-dasharray="2.6 2.1" />],
  [
    'half',
    <>
      <circle cx="8" cy="8" r="6.5" stroke-opacity=".3" />
      <path d="M8 1.5a6.5 6.5 0 0 1 0 13" {...rounded} />
    </>,
  ],
  [
    'tick',
    <>
      {disc}
      <path class="cutout" d="m4.6 8.3 2.3 2.3 4.5-4.8" {...rounded} />
    </>,
  ],
  [
    'cross',
    <>
      {disc}
      <path class="cutout" d="m5.4 5.4 5.2 5.2m0-5.2-5.2 5.2" {...rounded} />
    </>,
  ],
  [
    'hollow-cross',
    <>
      {ring}
      <path d="m5.8 5.8 4.4 4.4m0-4.4-4.4 4.4" stroke-width="1.7" {...rounded} />
    </>,
  ],
  [
    'hand',
    <path
      d="M4 9.5V5.2a1 1 0 0 1 2 0V3a1 1 0 0 1 2 0v-.6a1 1 0 0 1 2 0V4a1 1 0 0 1 2 0v5.5a4.6 4.6 0 0 1-4.6 4.9C5 14.4 3.7 12.5 2.2 9.8"
      stroke-width="1.6"
      {...rounded}
    />,
  ],
  [
    'slash',
    <>
      {ring}
      <path d="m4.5 11.5 7-7" {...rounded} />
    </>,
  ],
];

/** How long ago, with the absolute time on hover. The script keeps it true. */
export const Ago: FC<{ date: Date; now: Date }> = ({ date, now }) => (
  <time datetime={date.toISOString()} title={formatAbsolute(date)} data-ago>
    {formatAgo(date, now)}
  </time>
);

/** A duration; while there is no end it counts up. */
export const Duration: FC<{ from: Date | null; to: Date | null; now: Date }> = ({ from, to, now }) => {
  if (!from) return null;
  if (to) return <span class="number">{formatDuration(to.getTime() - from.getTime())}</span>;
  return (
    <time class="number" datetime={from.toISOString()} title={`since ${formatAbsolute(from)}`} data-since>
      {formatDuration(now.getTime() - from.getTime())}
    </time>
  );
};

/** Short text that copies the whole on click. */
export const Copy: FC<{ text: string; shown?: string }> = ({ text, shown }) => (
  <button type="button" class="copy" data-copy={text} title={`Copy ${text}`}>
    <code>{shown ?? text}</code>
  </button>
);

export const Sha: FC<{ sha: string }> = ({ sha }) => <Copy text={sha} shown={shortSha(sha)} />;

/** An attribute path with its last name standing out. */
export const AttributeName: FC<{ path: readonly string[] }> = ({ path }) => {
  const whole = visible(formatAttributePath(path));
  const parents = path.length > 1 ? `${visible(formatAttributePath(path.slice(0, -1)))}.` : '';
  return (
    <span class="attribute">
      {parents ? <span class="parents">{parents}</span> : null}
      {whole.slice(parents.length)}
    </span>
  );
};

/** Characters that would reorder or hide the text around them. */
function visible(text: string): string {
  return text.replace(/[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** The whole of an evaluation as a bar, most urgent first. Numbers stand beside it. */
export const CountsBar: FC<{ counts: JobCounts }> = ({ counts }) => {
  const total = totalJobs(counts);
  if (total === 0) return null;
  let at = 0;
  const parts = jobGroups.flatMap((group) => {
    if (counts[group] === 0) return [];
    // Two failures of 5,000 must still be seen.
    const width = Math.max((counts[group] / total) * 100, 1);
    const part = <rect class={`bar-${group}`} x={`${at}%`} y="0" width={`${width}%`} height="100%" />;
    at += width;
    return [part];
  });
  return (
    <svg class="counts-bar" role="img" aria-label={countsText(counts)} preserveAspectRatio="none">
      {parts}
    </svg>
  );
};

function countsText(counts: JobCounts): string {
  return jobGroups
    .filter((group) => counts[group] > 0)
    .map((group) => `${counts[group]} ${groupWords[group]}`)
    .join(', ');
}

/** Numbers by group with their shapes, only those that are not zero. */
export const Counts: FC<{ counts: JobCounts }> = ({ counts }) => (
  <span class="counts">
    {jobGroups.map((group) =>
      counts[group] === 0 ? null : (
        <span class={`count ${groupFaces[group].tone}`} title={`${counts[group]} ${groupWords[group]}`}>
          <Mark face={groupFaces[group]} />
          <span class="number">{formatNumber(counts[group])}</span>
          <span class="unseen"> {groupWords[group]}</span>
        </span>
      ),
    )}
  </span>
);

/** Something the reader should know before everything else on the page. */
export const Banner: FC<{ tone: 'attention' | 'danger' | 'muted'; title: string; children?: Child }> = ({
  tone,
  title,
  children,
}) => (
  <div class={`banner ${tone}`} role="note">
    <strong>{title}</strong>
    {children ? <div>{children}</div> : null}
  </div>
);

/** A place where nothing is yet, and what leads on from there. */
export const Empty: FC<{ title: string; children?: Child }> = ({ title, children }) => (
  <div class="empty">
    <svg viewBox="0 0 64 64" aria-hidden="true">
      <circle
        cx="32"
        cy="32"
        r="22"
        fill="none"
        stroke="currentColor"
        stroke-width="3"
        stroke-dasharray="5 6"
      />
      <circle cx="32" cy="32" r="5" fill="currentColor" />
    </svg>
    <h2>{title}</h2>
    <div>{children}</div>
  </div>
);
