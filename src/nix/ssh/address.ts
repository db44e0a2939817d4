/**
 * Addresses of stores behind ssh, as Nix writes them:
 *
 *   ssh-ng://[user@]host[:port][?ssh-key=…&base64-ssh-public-host-key=…&remote-store=…&remote-program=…]
 *
 * Whatever comes of them is an argument of ssh, or is quoted for the shell at the other end. So they
 * are read strictly, and anything unknown is refused.
 */
import { isAbsolute } from 'node:path';
import { OperatorError } from '../../basics/index.ts';

export interface SshAddress {
  /** As it was given, without parameters. For messages. */
  readonly name: string;
  readonly user: string | undefined;
  readonly host: string;
  readonly port: number | undefined;
  /** File of the private key. Undefined: those that ssh finds by itself. */
  readonly keyFile: string | undefined;
  /** `ssh-ed25519 AAAA…`, one a line. Undefined: those in ssh's own known_hosts files. */
  readonly hostKeys: readonly string[] | undefined;
  /** What the daemon there is told to open. Undefined: the store of that machine. */
  readonly remoteStore: string | undefined;
  /** The program there and its first arguments. */
  readonly remoteProgram: readonly string[];
  readonly compress: boolean;
}

const form =
  /^(ssh-ng|ssh):\/\/(?:([A-Za-z0-9_][A-Za-z0-9_.-]*)@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*)(?::(\d{1,5}))?\/?(?:\?(.*))?$/;

/** Nix gives these a meaning that does not matter here. */
const ignored = new Set(['max-connections', 'max-connection-age', 'trusted', 'want-mass-query', 'priority']);

/** Throws an OperatorError for anything that is not such an address. */
export function parseSshAddress(text: string): SshAddress {
  const match = form.exec(text);
  if (match === null) throw invalid(text, "it is not of the form 'ssh-ng://[user@]host[:port]'");
  const [, scheme, user, host = '', port, query] = match;
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) {
    throw invalid(text, `there is no port ${port}`);
  }
  const parameters = new Map(new URLSearchParams(query));
  const take = (name: string) => {
    const value = parameters.get(name);
    parameters.delete(name);
    // ssh and shells end words at these.
    if (value !== undefined && /\p{Cc}/u.test(value)) {
      throw invalid(text, `'${name}' holds a control character`);
    }
    return value || undefined;
  };
  const keyFile = take('ssh-key');
  if (keyFile !== undefined && !isAbsolute(keyFile)) {
    throw invalid(text, `'ssh-key' is to be an absolute path`);
  }
  const hostKey = take('base64-ssh-public-host-key');
  const address: SshAddress = {
    name: `${scheme}://${user === undefined ? '' : `${user}@`}${host}${port === undefined ? '' : `:${port}`}`,
    user,
    host: host.replace(/^\[|\]$/g, ''),
    port: port === undefined ? undefined : Number(port),
    keyFile,
    hostKeys: hostKey === undefined ? undefined : decodeHostKeys(text, hostKey),
    remoteStore: take('remote-store'),
    remoteProgram: programWords(text, take('remote-program')),
    compress: take('compress') === 'true',
  };
  const unknown = [...parameters.keys()].filter((name) => !ignored.has(name));
  if (unknown.length > 0) throw invalid(text, `the parameter '${unknown[0]}' is not known`);
  return address;
}

/** Base 64 of the content of a file like /etc/ssh/ssh_host_ed25519_key.pub. */
function decodeHostKeys(text: string, base64: string): string[] {
  const lines = Buffer.from(base64, 'base64').toString('latin1').trim().split('\n');
  return lines.map((line) => {
    const found = /^((?:ssh|ecdsa|sk)-[A-Za-z0-9@.-]+ [A-Za-z0-9+/]+=*)(?: [ -~]*)?$/.exec(line.trim());
    if (found?.[1] === undefined) {
      throw invalid(
        text,
        "'base64-ssh-public-host-key' is not the base 64 of a line like 'ssh-ed25519 AAAA…' " +
          '(base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub)',
      );
    }
    return found[1];
  });
}

function programWords(text: string, program = 'nix-daemon'): string[] {
  const words = program.split(' ').filter(Boolean);
  if (words.every((word) => /^[\w@%+=:,./-]+$/.test(word))) return words;
  throw invalid(text, `'remote-program' is to be a program and its arguments, without quotes`);
}

function invalid(address: string, why: string): OperatorError {
  return new OperatorError({
    code: 'ssh-address-invalid',
    message: `'${address}' is not the address of a machine to build on: ${why}.`,
    hint: 'For example ssh-ng://nix@builder.example.org?ssh-key=/etc/ringmaster/builder-key',
    exitStatus: 3,
  });
}
