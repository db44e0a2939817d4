/** Private repositories that an evaluation fetches besides its own: who may, and what its readers see of that. */
import type { Secrets } from '../logs/index.ts';
import type { NotHad } from '../projects/index.ts';
import type { EvaluationEvent, FetchAccess } from './events.ts';
import type { ClaimedEvaluation } from './queue.ts';

/** What an evaluation may fetch besides what anybody may, until `close`. */
export interface OpenedPins {
  readonly kind: 'ready';
  /** Undefined: nothing. */
  readonly access: FetchAccess | undefined;
  /** What it may not fetch and wanted to. */
  readonly notices: readonly string[];
  /** Ends the access. Never rejects. */
  close(): Promise<void>;
}
export type Pins = OpenedPins | NotHad;

/** Asked once for an evaluation, when it is about to begin. */
export type OpenPins = (evaluation: ClaimedEvaluation) => Promise<Pins>;

/** Only what lies in the repository itself: a fork's code may be its owner's, whoever proposed it. */
export function mayHavePins({ trust, sources }: Pick<ClaimedEvaluation, 'trust' | 'sources'>): boolean {
  return trust === 'trusted' && sources.some(({ fromFork }) => !fromFork);
}

/** Says first what is not fetched, and keeps the token out of all words. */
export async function* withPins(
  events: AsyncIterable<EvaluationEvent>,
  pins: OpenedPins | undefined,
  secrets: (() => Secrets) | undefined,
): AsyncGenerator<EvaluationEvent> {
  for (const message of pins?.notices ?? []) yield { type: 'notice', message };
  for await (const event of events) {
    const worded = event.type === 'error' || event.type === 'notice';
    if (!pins?.access || !secrets || !worded) yield event;
    else yield { ...event, message: secrets().redact(Buffer.from(event.message)).toString('utf8') };
  }
}
