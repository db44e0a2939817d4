/** The environment every Nix process gets: what it needs, and nothing of what surrounds this program. */
import { join } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where stores, daemons and proxies are is the operator's choice; the rest of the environment is not passed on. */
const passedOn = [
  'NIX_REMOTE',
  'NIX_DAEMON_SOCKET_PATH',
  'NIX_CONF_DIR',
  'NIX_STORE_DIR',
  'NIX_STATE_DIR',
  'NIX_LOG_DIR',
  'NIX_SSHOPTS',
  'NIX_SSL_CERT_FILE',
  'SSL_CERT_FILE',
  'http_proxy',
  'https_proxy',
  'all_proxy',
  'no_proxy',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'ALL_PROXY',
  'NO_PROXY',
] as const;

export interface NixEnvironmentOptions {
  /** The environment of this program. */
  readonly inherited: Environment;
  /** A folder of this program's own. Nix keeps caches there. */
  readonly home: string;
  /** Lines for nix.conf that hold unless the operator's NIX_CONFIG or `config` says otherwise. */
  readonly defaults?: string;
  /** Lines for nix.conf that hold in any case. */
  readonly config?: string;
  readonly tmpDir?: string;
}

/**
 * The whole environment of a Nix process. HOME is private; the nix.conf of the operator's real home
 * is still read.
 */
export function nixEnvironment(options: NixEnvironmentOptions): Record<string, string> {
  const { inherited } = options;
  const environment: Record<string, string> = {
    PATH: inherited.PATH ?? '/usr/bin:/bin',
    HOME: options.home,
    LANG: 'C.UTF-8',
    NIX_CONFIG: [options.defaults, inherited.NIX_CONFIG, options.config].filter(Boolean).join('\n'),
    NIX_USER_CONF_FILES: inherited.NIX_USER_CONF_FILES ?? userConfFile(inherited),
  };
  for (const name of passedOn) {
    const value = inherited[name];
    if (value !== undefined) environment[name] = value;
  }
  const tmpDir = options.tmpDir ?? inherited.TMPDIR;
  if (tmpDir !== undefined) environment.TMPDIR = tmpDir;
  return environment;
}

function userConfFile(inherited: Environment): string {
  const home = inherited.HOME;
  const configHome = inherited.XDG_CONFIG_HOME ?? (home === undefined ? undefined : join(home, '.config'));
  return configHome === undefined ? '' : join(configHome, 'nix', 'nix.conf');
}
