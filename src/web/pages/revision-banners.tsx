/** What stands between the state of a revision and its attributes. */
import type { FC } from 'hono/jsx';
import { shortSha } from '../format.ts';
import { revisionLink } from '../links.ts';
import type { OtherRevision, RevisionDetails } from '../read/revision-details.ts';
import type { RevisionLine } from '../read/revision-lines.ts';
import type { TroubledReport } from '../read/troubled-reports.ts';
import { isPassedOver } from '../words.ts';
import { Ago, Banner } from './parts.tsx';

/** Reports that GitHub does not show as meant: enough of them to tell why. */
export const troubledShown = 5;

export const RevisionBanners: FC<{ line: RevisionLine; details: RevisionDetails; now: Date }> = ({
  line,
  details,
  now,
}) => {
  const evaluation = line.evaluation;
  return (
    <>
      {line.trust === 'needs-approval' && !evaluation && !isPassedOver(line) ? (
        <ApprovalNeeded line={line} />
      ) : null}
      {!evaluation && isPassedOver(line) ? (
        <Banner tone="muted" title="Not evaluated">
          {[...new Set(line.sources.map((source) => source.passed_over?.reason))].map((reason) => (
            <p>{reason}</p>
          ))}
        </Banner>
      ) : null}
      {details.approved_by === null ? null : (
        <Banner tone="muted" title={`Approved by ${details.approved_by}`}>
          {details.approved_at ? (
            <>
              <Ago date={details.approved_at} now={now} />.{' '}
            </>
          ) : null}
          It had to be: {line.trust_reason ?? 'it comes from outside.'}
        </Banner>
      )}
      {evaluation?.state === 'cancelled' ? (
        <Banner tone="muted" title={evaluation.superseded_by === null ? 'Cancelled' : 'Superseded'}>
          {evaluation.cancel_reason}{' '}
          {details.superseded_by ? <RevisionLinkTo revision={details.superseded_by} /> : null}
        </Banner>
      ) : null}
      {details.reused_from ? (
        <Banner tone="muted" title="Known before">
          Its files are those of <RevisionLinkTo revision={details.reused_from} />: what was found there
          stands for this commit, too.
        </Banner>
      ) : null}
      {evaluation?.waiting_for && !evaluation.finished_at ? (
        <Banner tone="muted" title="Waiting">
          {evaluation.waiting_for}
        </Banner>
      ) : null}
      {(evaluation?.notices ?? []).map((notice) => (
        <Banner tone="muted" title="Notice">
          <pre>{notice}</pre>
        </Banner>
      ))}
    </>
  );
};

const RevisionLinkTo: FC<{ revision: OtherRevision }> = ({ revision }) => (
  <a href={revisionLink(revision)}>
    <code>{shortSha(revision.sha)}</code> {revision.title}
  </a>
);

const ApprovalNeeded: FC<{ line: RevisionLine }> = ({ line }) => (
  <Banner tone="attention" title="Approval needed">
    <p>{line.trust_reason ?? 'Its author may not write to this repository.'}</p>
    <p>
      Nothing of it is evaluated or built. Somebody with write permission who has read the change can approve
      this very commit: with the button of the check on GitHub, or with a comment of one line,{' '}
      <code>/ci approve</code>.
    </p>
  </Banner>
);

const troubleWords = {
  refused: 'is not there, GitHub refused it',
  shortened: 'is there without its details, GitHub refused them',
  unsent: 'is not up to date there, it is tried again',
} as const;

/** For operators: why GitHub does not show what this page shows. */
export const Troubled: FC<{ reports: readonly TroubledReport[] }> = ({ reports }) => {
  if (reports.length === 0) return null;
  return (
    <Banner tone="attention" title="GitHub does not show all of this">
      <ul>
        {reports.slice(0, troubledShown).map(({ name, trouble, reason }) => (
          <li>
            <code>{name}</code> {troubleWords[trouble]}: {reason}
          </li>
        ))}
        {reports.length > troubledShown ? <li>More reports have trouble, too.</li> : null}
      </ul>
    </Banner>
  );
};
