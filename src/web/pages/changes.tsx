import type { FC } from 'hono/jsx';
import {
  type AttributeChange,
  causeInWords,
  changesInWords,
  countChanged,
  type EvaluationChanges,
} from '../../evaluations/index.ts';
import { countOf, shortSha } from '../format.ts';
import { jobLink, revisionLink } from '../links.ts';
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
      {changesInWords(changes.counts)}, compared with{' '}
      <a href={revisionLink({ ...line, sha: changes.baseSha })}>
        <code>{shortSha(changes.baseSha)}</code>
      </a>{' '}
      of <span class="branch">{changes.baseBranch}</span>
    </>
  );
  if (changes.attributes.length === 0) return <p class="compared">Changes: {summary}</p>;
  return (
    <details id="changed" class="compared">
      <summary>Changes: {summary}</summary>
      <ul class="rows">
        {changes.attributes.map((change) => (
          <Change change={change} line={line} baseSha={changes.baseSha} />
        ))}
      </ul>
      {unshown > 0 ? (
        <p class="more">{countOf(unshown, 'more change')} counted, not listed one by one.</p>
      ) : null}
    </details>
  );
};

const Change: FC<{ change: AttributeChange; line: RevisionLine; baseSha: string }> = ({
  change: { kind, path, cause },
  line,
  baseSha,
}) => (
  <li class="row change-line">
    <span class={`word ${kind === 'broken' ? 'danger' : kind === 'repaired' ? 'success' : 'muted'}`}>
      {kind}
    </span>
    {/* What was removed is to be found in the commit that still has it. */}
    <a class="name" href={jobLink({ ...line, sha: kind === 'removed' ? baseSha : line.sha, path })}>
      <AttributeName path={path} />
    </a>
    <span class="sub">
      {cause ? causeInWords(cause, (text) => text.replaceAll(/[\p{Cc}\p{Cf}]/gu, '')) : null}
    </span>
  </li>
);
