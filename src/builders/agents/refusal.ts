/** Why the server does not do what an agent asks. */
export type RefusalReason =
  | 'unauthenticated'
  /** The session is over; the agent registers again. */
  | 'no-session'
  /** A newer agent came; this one ends. */
  | 'replaced'
  /** Another server process has the session; trying again may reach it. */
  | 'elsewhere'
  /** The other side is too old or too new. */
  | 'version'
  | 'invalid';

export class AgentRefusal extends Error {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string) {
    super(message);
    this.name = 'AgentRefusal';
    this.reason = reason;
  }
}
