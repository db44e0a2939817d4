import type { FC } from 'hono/jsx';
import { reproductionLines } from '../../reports/index.ts';
import { formatDuration, shortSha, shortStorePath } from '../format.ts';
import { jobLink } from '../links.ts';
import { jobFace } from '../words.ts';
import { Attempts, Fact } from './build-parts.tsx';
import type { JobPage } from './job-page.ts';
import { Ago, Copy, Mark } from './parts.tsx';

/** What stands beside the log: derivation, outputs, attempts, history. */
export const About: FC<{ page: JobPage }> = ({ page }) => {
  const { job, line, attempts, history, now } = page;
  const outputs = Object.entries(job.outputs ?? {});
  return (
    <>
      <dl>
        {job.drv_path ? (
          <Fact term="Derivation">
            <Copy text={job.drv_path} shown={shortStorePath(job.drv_path)} />
          </Fact>
        ) : null}
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
        <Reproduce page={page} />
      </dl>
      {attempts.length > 0 ? <Attempts of={{ attempts, shown: page.log?.attempt.id, now }} /> : null}
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

/** Lines for a checkout of this commit, quoted for a POSIX shell; the first is the shortest way. */
const Reproduce: FC<{ page: JobPage }> = ({ page: { line, job } }) => {
  const lines = reproductionLines({
    sha: line.sha,
    file: line.evaluation?.file ?? undefined,
    path: job.path,
  });
  if (lines === undefined) return null;
  const build = lines.split('\n').find((command) => command.startsWith('nix')) ?? lines;
  return (
    <Fact term="Reproduce">
      <Copy text={build} />
    </Fact>
  );
};
