/** What keeps an agent from its server, in words, and whether trying again can help. */
import { Code, ConnectError } from '@connectrpc/connect';
import { exitStatus, OperatorError } from '../basics/index.ts';

/**
 * What no further try will change, for people. `known`: the server has answered as one before; then
 * a page that stands in its place for a while (a proxy's, while the server is replaced) ends nothing.
 */
export function refusal(error: unknown, known: boolean): OperatorError | undefined {
  const { code, rawMessage } = ConnectError.from(error);
  const details = { exitStatus: exitStatus.configuration, cause: error };
  switch (code) {
    case Code.Unauthenticated:
      return new OperatorError({
        ...details,
        code: 'agent-token-refused',
        message: `The server does not take this token: ${rawMessage}`,
        hint: "'ringmaster builder token NAME' on the server makes a new one.",
      });
    case Code.FailedPrecondition:
      return new OperatorError({ ...details, code: 'agent-version', message: rawMessage });
    case Code.AlreadyExists:
      return new OperatorError({
        ...details,
        code: 'agent-replaced',
        message: rawMessage,
        hint: "One token is for one agent. 'ringmaster builder add' makes another builder.",
      });
    default:
      return known ? undefined : notOurs(error);
  }
}

function notOurs(error: unknown): OperatorError | undefined {
  const { code, rawMessage } = ConnectError.from(error);
  const details = { exitStatus: exitStatus.configuration, cause: error };
  if (/^HTTP 3\d\d$/.test(rawMessage)) {
    return new OperatorError({
      ...details,
      code: 'server-elsewhere',
      message: `The server is not there: what answers sends elsewhere (${rawMessage}).`,
      hint: 'Give --server the address that it redirects to, perhaps with https.',
    });
  }
  if (code === Code.Unimplemented || /^unsupported content type/.test(rawMessage)) {
    return new OperatorError({
      ...details,
      code: 'not-a-server',
      message: `What answers there is not a Ringmaster server: ${rawMessage}`,
      hint: 'Check --server: it is the address of the dashboard.',
    });
  }
  return undefined;
}

const reasons: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, 'nothing listens there'],
  [/ENOTFOUND/, 'there is no host of that name'],
  [/EAI_AGAIN/, 'the name of that host cannot be looked up now'],
  [/wrong version number/, 'it does not speak TLS there: https where http is meant'],
  [
    /self.signed|unable to (get|verify)|issuer certificate/,
    'its certificate is not trusted here (NODE_EXTRA_CA_CERTS)',
  ],
  [/HTTP 407/, 'the proxy wants a user and a password: http://USER:PASSWORD@PROXY'],
  [/HTTP 50[234]/, 'a proxy answers for it, which does not reach it'],
];

/** Why there is no session now, for the log. */
export function troubleOf(error: unknown): string {
  const { rawMessage } = ConnectError.from(error);
  const first = rawMessage.split('\n')[0] ?? '';
  const known = reasons.find(([pattern]) => pattern.test(rawMessage));
  return known === undefined ? first : `${known[1]} (${first})`;
}
