/** What to tell when builds have to run in a sandbox and cannot. */
import { OperatorError } from '../basics/index.ts';
import type { StoreAccess } from './access.ts';

const howToAllow =
  'To let builds run without a sandbox, which lets them see and change this machine, ' +
  'set `sandbox = "off"` under `[builds]` in ringmaster.toml.';

/** The operator's own setting, which is not overruled. */
export function sandboxTurnedOff(value: string): OperatorError {
  return new OperatorError({
    code: 'sandbox-off',
    message: `NIX_CONFIG has \`sandbox = ${value}\`, but builds are to run in a sandbox.`,
    hint: `Remove that line from NIX_CONFIG. ${howToAllow}`,
    exitStatus: 3,
  });
}

/** A build failed, or ran without a sandbox. The first may have nothing to do with sandboxes. */
export function sandboxUnavailable(access: StoreAccess, reason: string): OperatorError {
  const unreachable =
    /cannot connect to (?:socket|daemon)[^\n]*|opening a connection to[^\n]*|connect E[A-Z]+ [^\n]*/i.exec(
      reason,
    )?.[0];
  if (unreachable !== undefined) {
    return new OperatorError({
      code: 'nix-daemon-unreachable',
      message: `The Nix daemon does not answer: ${unreachable}`,
      hint:
        'Start it (systemctl start nix-daemon). Or set NIX_REMOTE to a folder: a store of your own is made there, ' +
        'and no daemon is needed.',
      exitStatus: 3,
    });
  }
  const advice =
    access.kind === 'socket'
      ? 'The Nix daemon decides on that: set `sandbox = true` in /etc/nix/nix.conf and restart it. ' +
        'Or set NIX_REMOTE to a folder: a store of your own is made there, and no daemon is needed.'
      : process.getuid?.() === 0
        ? "Nix's sandbox needs a kernel with namespaces, and in a container the right to use them " +
          '(docker run --privileged).'
        : "Without root or a Nix daemon, Nix's sandbox needs user namespaces, which this kernel or container does not allow " +
          '(sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns). ' +
          'Allow them, run as root, or install Nix with its daemon: https://nixos.org/download.';
  return new OperatorError({
    code: 'sandbox-unavailable',
    message: `Builds cannot run in a sandbox: ${reason}`,
    hint: `${advice} ${howToAllow}`,
    exitStatus: 3,
  });
}
