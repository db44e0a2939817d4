import type { FC } from 'hono/jsx';
import {
  type AttributeChange,
  causeInWords,
  changesInWords,
  countChanged,
  type EvaluationChanges,
} from '../../evaluations/index.ts';
import { formatNumber, shortSha } from '../format.ts';
import { revisionLink } from '../links.ts';
import type { RevisionLine } from '../read/revision-lines.ts';
import { AttributeName } from './parts.tsx';

/** What a revision changed against its base: the counts, and the attributes when somebody asks. */
export const Changes: FC<{ changes: EvaluationChanges | undefined; line: RevisionLine }> = ({
  changes,
  line,
}) => {
  if (!changes) return null;
  const unshown = countChanged(changes.counts) - changes.attributes.length;
  const summary = (
    <>
      Compared with{' '}
      <a href={revisionLink({ ...line, sha: changes.baseSha })}>
        <code>{shortSha(changes.baseSha)}</code>
      </a>{' '}
      of <span class="branch">{changes.baseBranch}</span>: {changesInWords(changes.counts)}
    </>
  );
  if (changes.attributes.length === 0) return <p class="facts">{summary}</p>;
  return (
    <details>
      <summary>{summary}</summary>
      <ul class="rows">
        {changes.attributes.map((change) => (
          <Change change={change} />
        ))}
      </ul>
      {unshown > 0 ? <p class="more">{formatNumber(unshown)} more are not kept.</p> : null}
    </details>
  );
};

const Change: FC<{ change: AttributeChange }> = ({ change }) => (
  <li>
    {change.kind} <AttributeName path={change.path} />
    {change.cause ? `: ${causeInWords(change.cause, (text) => text.replaceAll(/[\p{Cc}\p{Cf}]/gu, ''))}` : ''}
  </li>
);
