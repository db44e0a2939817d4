/** What to do about what ssh says. Its words have been the same for many versions. */
import { messageOf, OperatorError } from '../../basics/index.ts';
import { ConnectionLost, ProtocolError } from '../daemon/index.ts';
import type { SshAddress } from './address.ts';

interface Explanation {
  readonly words: RegExp;
  readonly code: string;
  readonly what: string;
  readonly hint: (address: SshAddress) => string;
}

const explanations: readonly Explanation[] = [
  {
    words: /Host key verification failed|host key is known|IDENTIFICATION HAS CHANGED/i,
    code: 'ssh-host-key',
    what: 'has another host key than it is to have, or none that is known',
    hint: ({ host, port, hostKeys }) =>
      hostKeys === undefined
        ? `Compare what \`ssh-keyscan ${port === undefined ? '' : `-p ${port} `}${host}\` prints with ` +
          '/etc/ssh/ssh_host_*_key.pub on that machine, then give it as its host key, or add it to known_hosts.'
        : 'If the machine was set up anew, give its new host key. If not, somebody may be in between.',
  },
  {
    words: /Permission denied|Too many authentication failures/,
    code: 'ssh-permission',
    what: 'does not let us in',
    hint: ({ user, keyFile }) =>
      `Add the public key of ${keyFile ?? 'the user that runs this program'} to ` +
      `~/.ssh/authorized_keys of ${user ?? 'the user'} there. The private key must be readable by nobody else.`,
  },
  {
    words: /Connection refused/,
    code: 'ssh-unreachable',
    what: 'refuses connections',
    hint: ({ port }) => `Is sshd running there, and does it listen on port ${port ?? 22}?`,
  },
  {
    // Before anybody is let in; a connection that is lost later says nothing of an exchange.
    words: /kex_exchange_identification/,
    code: 'ssh-unreachable',
    what: 'ends connections before they begin',
    hint: () =>
      'Is sshd there going down, at its limit (MaxStartups), or behind something that closes the port?',
  },
  {
    words: /Could not resolve hostname/,
    code: 'ssh-unreachable',
    what: 'is not known by that name',
    hint: () => 'Check the name, and that this machine can resolve it.',
  },
  {
    words: /timed out|No route to host|Network is unreachable|not responding|no answer to/,
    code: 'ssh-unreachable',
    what: 'does not answer',
    hint: () => 'Is it up, and can it be reached from this machine through firewalls?',
  },
  {
    words: /command not found|: not found|No such file or directory/,
    code: 'ssh-nix-missing',
    what: 'has no nix-daemon where ssh looks for it',
    hint: () =>
      "Install Nix there. If it is installed, shells that ssh starts do not have it on PATH: say where it is, as in '?remote-program=/nix/var/nix/profiles/default/bin/nix-daemon'.",
  },
  {
    words: /spawn ssh ENOENT/,
    code: 'ssh-missing',
    what: 'cannot be reached without ssh, which is not installed here',
    hint: () => 'On Debian and Ubuntu: apt-get install openssh-client.',
  },
];

/** An error for the operator, from whatever a connection through ssh failed with. */
export function explainSsh(address: SshAddress, error: unknown): unknown {
  if (!(error instanceof ConnectionLost || error instanceof ProtocolError)) return error;
  const words = messageOf(error);
  const found = explanations.find((each) => each.words.test(words));
  if (found !== undefined) {
    return new OperatorError({
      code: found.code,
      message: `${address.name} ${found.what}: ${words}`,
      hint: found.hint(address),
      cause: error,
    });
  }
  const talks = error instanceof ProtocolError;
  return new OperatorError({
    code: 'ssh-failed',
    message: `${address.name} cannot be used: ${words}`,
    hint: talks
      ? 'Something else than nix-daemon answers: does a file like .bashrc print something when ssh starts a shell?'
      : `Try \`ssh ${address.user === undefined ? '' : `${address.user}@`}${address.host} nix-daemon --version\` as the user that runs this program.`,
    cause: error,
  });
}
