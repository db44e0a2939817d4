import type { FC } from 'hono/jsx';
import { formatAttributePath } from '../../evaluations/index.ts';
import { headline } from '../../reports/index.ts';
import { countOf, formatNumber } from '../format.ts';
import { buildLink, type ForgeLinks, jobLink } from '../links.ts';
import type { ImportRow } from '../read/imports.ts';
import type { JobRow } from '../read/jobs.ts';
import type { RevisionLine } from '../read/revision-lines.ts';

interface ErrorsOfRevision {
  readonly line: RevisionLine;
  readonly forge: ForgeLinks;
  readonly errors: readonly JobRow[];
  /** What was built while evaluating: an error that names one of them links to its log. */
  readonly imports: readonly ImportRow[];
}

/** A trace fills a screen: of further errors their one line is shown, so that the list below stays near. */
const shownWhole = 3;

/** Evaluation errors as a compiler prints them. */
export const EvaluationErrors: FC<{ page: ErrorsOfRevision }> = ({ page }) => {
  const count = page.line.evaluation?.error_count ?? page.errors.length;
  return (
    <section id="errors" data-live>
      {page.errors.length === 0 ? null : (
        <>
          <h2>{countOf(Math.max(count, page.errors.length), 'evaluation error')}</h2>
          {page.errors.map((job, index) =>
            index < shownWhole || page.errors.length === shownWhole + 1 ? (
              <EvaluationError job={job} line={page.line} forge={page.forge} imports={page.imports} />
            ) : (
              <details id={`folded-${job.id}`} class="folded">
                <summary>
                  <code>
                    {job.path.length === 0 ? 'the whole evaluation' : formatAttributePath(job.path)}
                  </code>{' '}
                  <span class="cause">{headline(job.error ?? '')}</span>
                </summary>
                <EvaluationError job={job} line={page.line} forge={page.forge} imports={page.imports} />
              </details>
            ),
          )}
          {count > page.errors.length ? (
            <p class="more">
              <a href="?group=bad">All {formatNumber(count)} are in the list below</a>
            </p>
          ) : null}
        </>
      )}
    </section>
  );
};

export const EvaluationError: FC<{
  job: JobRow;
  line: RevisionLine;
  forge: ForgeLinks;
  imports?: readonly ImportRow[];
}> = ({ job, line, forge, imports = [] }) => {
  const culprit = imports.find(({ drv_path }) => job.error?.includes(drv_path));
  const place = [job.error_file, job.error_line, job.error_column].filter((part) => part !== null).join(':');
  return (
    <div class="diagnostic" id={`error-${job.id}`}>
      <p class="place">
        {job.error_file === null ? null : (
          <a href={forge.line({ ...line, file: job.error_file, line: job.error_line })} rel="noopener">
            {place}
          </a>
        )}
        <a class="quiet" href={jobLink({ ...line, path: job.path })}>
          {job.path.length === 0 ? 'the whole evaluation' : formatAttributePath(job.path)}
        </a>
      </p>
      <pre>{(job.error ?? '').trim()}</pre>
      {culprit ? (
        <p class="more">
          <a href={buildLink(culprit.build_id)}>Log of {culprit.name}</a>
        </p>
      ) : null}
    </div>
  );
};
