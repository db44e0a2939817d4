import type { FC } from 'hono/jsx';
import { countOf } from '../format.ts';
import { buildLink } from '../links.ts';
import type { ImportRow } from '../read/imports.ts';
import { jobFace } from '../words.ts';
import { Duration, Mark, Word } from './parts.tsx';

/** Builds of one evaluation that a page lists; the API has all of them. */
export const importsShown = 100;

/** What was built because the evaluation reads what it makes (import from derivation). */
export const Imports: FC<{ imports: readonly ImportRow[]; now: Date }> = ({ imports, now }) => (
  <section id="imports" data-live>
    {imports.length === 0 ? null : (
      <details open={imports.some(({ state }) => state !== 'succeeded')}>
        <summary>Built while evaluating: {countOf(imports.length, 'derivation')}</summary>
        <ul class="rows jobs">
          {imports.map((build) => (
            <ImportLine build={build} now={now} />
          ))}
        </ul>
      </details>
    )}
  </section>
);

const ImportLine: FC<{ build: ImportRow; now: Date }> = ({ build, now }) => {
  const job_group = build.state === 'succeeded' ? 'good' : 'bad';
  const face = jobFace({ state: build.state, job_group, mark: 'regular' });
  return (
    <li class="row job-line">
      <Mark face={face} />
      <a class="name" href={buildLink(build.build_id)}>
        {build.name}
      </a>
      <span class="sub">
        <Word face={face} />
        {build.message ? <span class="cause">{build.message.split('\n', 1)[0]}</span> : null}
      </span>
      <span class="system">{build.system}</span>
      <span class="activity">
        <Duration from={build.started_at} to={build.finished_at} now={now} />
      </span>
    </li>
  );
};
