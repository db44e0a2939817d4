/** What the page of a job and the page of a build have in common. */
import type { Child, FC } from 'hono/jsx';
import { buildLink } from '../links.ts';
import type { AttemptRow, BuildRow, InputRow } from '../read/builds.ts';
import type { BuilderRow } from '../read/machines.ts';
import { attemptFace, buildFace, isMachinesFault } from '../words.ts';
import { Banner, Duration, Mark, State } from './parts.tsx';
import { waitingReason } from './waiting.ts';

interface WaitingBuild {
  readonly build: BuildRow | undefined;
  readonly inputs: readonly InputRow[];
  readonly builders: readonly BuilderRow[];
  readonly now: Date;
}

/** What something that is not being built waits for. */
export const Waiting: FC<{ of: WaitingBuild }> = ({ of: { inputs, build, builders, now } }) => {
  if (!build) return null;
  if (inputs.length > 0) {
    const others = build.pending_inputs - inputs.length;
    return (
      <Banner tone="muted" title="Waiting for inputs">
        <ul class="inputs">
          {inputs.map((input) => (
            <li>
              <State face={buildFace(input.state)} />{' '}
              <a href={buildLink(input.id)}>
                <code>{input.name}</code>
              </a>
            </li>
          ))}
          {others > 0 ? <li>and {others} more</li> : null}
        </ul>
      </Banner>
    );
  }
  return (
    <Banner tone="muted" title="Waiting for a builder">
      It {waitingReason(build, builders, now)}. <a href="/queue">Queue</a>
    </Banner>
  );
};

interface AttemptList {
  readonly attempts: readonly AttemptRow[];
  /** The one whose log is shown. */
  readonly shown: number | undefined;
  readonly now: Date;
}

/** Each try, newest first, with what became of it; then those that were only to compare. */
export const Attempts: FC<{ of: AttemptList }> = ({ of }) => {
  const own = of.attempts.filter((attempt) => attempt.check_id === null);
  const checks = of.attempts.filter((attempt) => attempt.check_id !== null);
  return (
    <>
      <AttemptLines title={own.length === 1 ? 'Attempt' : 'Attempts'} attempts={own} of={of} />
      <AttemptLines title="Built again to compare" attempts={checks} of={of} />
    </>
  );
};

const AttemptLines: FC<{ title: string; attempts: readonly AttemptRow[]; of: AttemptList }> = ({
  title,
  attempts,
  of,
}) =>
  attempts.length === 0 ? null : (
    <>
      <h3>{title}</h3>
      <ul class="attempts">
        {attempts.map((attempt, index) => (
          <AttemptLine attempt={attempt} later={attempts[index - 1]} of={of} />
        ))}
      </ul>
    </>
  );

const AttemptLine: FC<{ attempt: AttemptRow; later: AttemptRow | undefined; of: AttemptList }> = ({
  attempt,
  later,
  of,
}) => {
  const isCheck = attempt.check_id !== null;
  const face = attemptFace(attempt);
  const word = isCheck && attempt.status === 'built' ? 'the same' : face.word;
  const tells = isCheck || isMachinesFault(attempt);
  const again = later && whatFollowed(attempt, later);
  return (
    <li>
      <Mark face={face} />
      <div>
        <a href={`?attempt=${attempt.id}`} aria-current={of.shown === attempt.id ? 'true' : undefined}>
          {attempt.builder}
        </a>{' '}
        <span>
          {word} {attempt.finished_at === null ? 'for' : 'after'}
        </span>{' '}
        <Duration from={attempt.started_at} to={attempt.finished_at} now={of.now} />
        {again ? <p>{again}</p> : null}
        {tells && attempt.message ? <p class="said">{attempt.message.trim()}</p> : null}
      </div>
    </li>
  );
};

/** What followed on an attempt that said nothing about the build. */
function whatFollowed(attempt: AttemptRow, later: AttemptRow): string | undefined {
  if (!isMachinesFault(attempt)) return undefined;
  return later.builder === attempt.builder ? 'tried again there' : `tried again on ${later.builder}`;
}

export const Fact: FC<{ term: string; children?: Child }> = ({ term, children }) => (
  <>
    <dt>{term}</dt>
    <dd>{children}</dd>
  </>
);
