import type { Child, FC } from 'hono/jsx';
import { formatAttributePath } from '../../evaluations/index.ts';
import { formatDuration, shortSha, shortStorePath } from '../format.ts';
import { jobLink } from '../links.ts';
import type { AttemptRow } from '../read/builds.ts';
import { attemptFace, isMachinesFault, jobFace } from '../words.ts';
import type { JobPage } from './job-page.ts';
import { Ago, Copy, Duration, Mark } from './parts.tsx';

/** What stands beside the log: derivation, outputs, attempts, history. */
export const About: FC<{ page: JobPage }> = ({ page }) => {
  const { job, line, attempts, history, now } = page;
  const fragment = job.path.map((name) => formatAttributePath([name])).join('.');
  const outputs = Object.entries(job.outputs ?? {});
  return (
    <>
      <dl>
        <Fact term="Derivation">
          {job.drv_path ? <Copy text={job.drv_path} shown={shortStorePath(job.drv_path)} /> : 'none'}
        </Fact>
        {job.system ? <Fact term="System">{job.system}</Fact> : null}
        {outputs.length > 0 ? (
          <Fact term={outputs.length === 1 ? 'Output' : 'Outputs'}>
            {outputs.map(([output, path]) => (
              <div>
                {outputs.length > 1 ? <span class="tag">{output}</span> : null}
                {path === null ? 'known when built' : <Copy text={path} shown={shortStorePath(path)} />}
              </div>
            ))}
          </Fact>
        ) : null}
        {job.mark === 'regular' ? null : <Fact term="Mark">{job.mark}</Fact>}
        <Fact term="Reproduce">
          <Copy text={reproduction(page, fragment)} />
        </Fact>
      </dl>
      {attempts.length > 0 ? (
        <>
          <h3>{attempts.length === 1 ? 'Attempt' : 'Attempts'}</h3>
          <ul class="attempts">
            {attempts.map((attempt, index) => (
              <AttemptLine attempt={attempt} later={attempts[index - 1]} page={page} />
            ))}
          </ul>
        </>
      ) : null}
      {history.length > 1 ? (
        <>
          <h3 class="of-history">History of this attribute</h3>
          <ul class="history">
            {history.map((row) => (
              <li aria-current={row.id === job.id ? 'true' : undefined}>
                <Mark face={jobFace(row)} silent />
                <a href={jobLink({ ...line, sha: row.sha, path: row.path })} title={row.title}>
                  {row.title || shortSha(row.sha)}
                </a>
                <span class="number">
                  {row.started_at && row.finished_at
                    ? formatDuration(row.finished_at.getTime() - row.started_at.getTime())
                    : ''}
                </span>
                <Ago date={row.queued_at} now={now} />
              </li>
            ))}
          </ul>
        </>
      ) : null}
    </>
  );
};

const AttemptLine: FC<{ attempt: AttemptRow; later: AttemptRow | undefined; page: JobPage }> = ({
  attempt,
  later,
  page,
}) => {
  const face = attemptFace(attempt);
  const again = later && whatFollowed(attempt, later);
  return (
    <li>
      <Mark face={face} />
      <div>
        <a
          href={`?attempt=${attempt.id}`}
          aria-current={page.log?.attempt.id === attempt.id ? 'true' : undefined}
        >
          {attempt.builder}
        </a>{' '}
        <span>
          {face.word} {attempt.finished_at === null ? 'for' : 'after'}
        </span>{' '}
        <Duration from={attempt.started_at} to={attempt.finished_at} now={page.now} />
        {again ? <p>{again}</p> : null}
        {isMachinesFault(attempt) && attempt.message ? <p class="said">{attempt.message.trim()}</p> : null}
      </div>
    </li>
  );
};

/** What followed on an attempt that said nothing about the build. */
function whatFollowed(attempt: AttemptRow, later: AttemptRow): string | undefined {
  if (!isMachinesFault(attempt)) return undefined;
  return later.builder === attempt.builder ? 'tried again there' : `tried again on ${later.builder}`;
}

const Fact: FC<{ term: string; children?: Child }> = ({ term, children }) => (
  <>
    <dt>{term}</dt>
    <dd>{children}</dd>
  </>
);

/** A line for a checkout of this commit. Everything in it is quoted for a POSIX shell. */
function reproduction({ line, job }: JobPage, attribute: string): string {
  const file = line.evaluation?.file ?? 'ci.nix';
  const select = job.path.length === 0 ? '' : ` -A ${quote(attribute)}`;
  return `nix-build ${quote(file)}${select}`;
}

function quote(word: string): string {
  return /^[\w./@%+=:-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
