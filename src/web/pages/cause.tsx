/** Why it failed, before anybody has to read a log. */
import { raw } from 'hono/html';
import type { FC } from 'hono/jsx';
import { saysMore, shortCause } from '../../reports/index.ts';
import { countOf, formatNumber } from '../format.ts';
import type { ForgeLinks } from '../links.ts';
import { buildLink } from '../links.ts';
import { renderLog } from '../log-lines.ts';
import type { BuildRow } from '../read/builds.ts';
import type { AppliedHash, Evidence, LogPlace } from '../read/evidence.ts';
import type { FirstError } from '../read/first-error.ts';
import { Ago, Copy } from './parts.tsx';

export interface CauseView {
  readonly evidence: Evidence;
  /** The commit whose lines are meant; none on the page of a build. */
  readonly commit?: { readonly owner: string; readonly project: string; readonly sha: string };
  readonly forge: ForgeLinks;
  readonly now: Date;
}

/** ` with exit code 2`: what goes on in the sentence that the state begins; empty: the message says more. */
export function causeInSentence(message: string): string {
  if (saysMore(message)) return '';
  const cause = shortCause(message);
  if (cause.startsWith('exit code')) return ` with ${cause}`;
  return cause.startsWith('signal') ? `, ended by ${cause},` : '';
}

/** What neither the sentence nor the cause below it says; Nix's own words. */
export function ownMessage(build: BuildRow): string {
  const told = build.got_hash !== null || causeInSentence(build.message) !== '';
  return told || build.state === 'dependency-failed' ? '' : build.message.trim();
}

export const Cause: FC<{ view: CauseView }> = ({ view }) => {
  const { evidence, commit, forge, now } = view;
  const { build, own, firstError, end, places, applied } = evidence;
  const shown = firstError ?? end;
  return (
    <>
      {build.got_hash === null ? null : (
        <dl class="hashes">
          <dt>specified</dt>
          <dd>{build.specified_hash ? <Copy text={build.specified_hash} /> : 'none'}</dd>
          <dt>got</dt>
          <dd>
            <Copy text={build.got_hash} />
          </dd>
        </dl>
      )}
      {build.got_hash === null ? null : (
        <p class="applied">
          What was fetched has another hash than was promised. If it is what you want, write the second in
          place of the first.
        </p>
      )}
      {applied ? <Applied hash={applied} now={now} /> : null}
      {shown ? (
        <figure class="excerpt">
          <figcaption>
            {firstError ? 'First error' : 'The end of the log'}
            {own ? null : (
              <>
                {' of '}
                <a href={buildLink(build.id)}>{build.name}</a>
              </>
            )}
            {', '}
            <a href={`${own ? '' : buildLink(build.id)}#L${shown.line}`}>line {formatNumber(shown.line)}</a>
          </figcaption>
          <Excerpt of={shown} />
        </figure>
      ) : null}
      {commit && places.length > 0 ? (
        <div class="places">
          <h2>{countOf(places.length, 'place')} of this commit in the log</h2>
          <ul>
            {places.map((place) => (
              <Place place={place} href={forge.line({ ...commit, file: place.path, line: place.line })} />
            ))}
          </ul>
        </div>
      ) : null}
    </>
  );
};

const Excerpt: FC<{ of: FirstError }> = ({ of }) => (
  <pre>
    {renderLog(of.excerpt).map(({ html }, index) => (
      <span class={index === 0 ? 'culprit' : undefined}>
        {raw(html)}
        {'\n'}
      </span>
    ))}
  </pre>
);

const Place: FC<{ place: LogPlace; href: string }> = ({ place, href }) => (
  <li class={place.level === 'warning' ? 'quiet' : undefined}>
    <a href={href} rel="noopener">
      <code>
        {place.path}:{place.line}
      </code>
    </a>{' '}
    <span>{place.message}</span>
  </li>
);

/** What came of the button on GitHub. */
const Applied: FC<{ hash: AppliedHash; now: Date }> = ({ hash, now }) => (
  <p class="applied">
    {hash.asked_by} pressed <strong>Apply hash</strong> <Ago date={hash.asked_at} now={now} />.{' '}
    {hash.outcome ?? 'It is under way.'}
  </p>
);
