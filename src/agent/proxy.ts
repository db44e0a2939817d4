/** The proxy that the environment names for an address, as curl would understand it. */
import { exitStatus, OperatorError } from '../basics/index.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Undefined: the address is reached without one. Throws an OperatorError when what is named is no proxy that can be used. */
export function proxyFor(target: URL, environment: Environment): URL | undefined {
  if (isExcluded(target, read(environment, 'no_proxy')?.value ?? '')) return undefined;
  const named =
    read(environment, target.protocol === 'https:' ? 'https_proxy' : 'http_proxy') ??
    read(environment, 'all_proxy');
  if (named === undefined) return undefined;
  const { name, value } = named;
  const text = value.includes('://') ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new OperatorError({
    code: 'proxy-unusable',
    // Not what it says: it may hold a password.
    message: `${name} is not the address of an HTTP proxy.`,
    hint: 'For example http://proxy.example.org:3128. Or unset it, or name the server in NO_PROXY.',
    exitStatus: exitStatus.configuration,
  });
}

function read(environment: Environment, name: string) {
  for (const spelling of [name, name.toUpperCase()]) {
    const value = environment[spelling];
    if (value) return { name: spelling, value };
  }
  return undefined;
}

/** Entries are hosts, which stand for all below them, too, with or without a port; `*` is all. */
function isExcluded(target: URL, list: string): boolean {
  const host = target.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = target.port || (target.protocol === 'https:' ? '443' : '80');
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => {
      if (entry === '*') return true;
      const [, name = '', entryPort] = /^(?:\*?\.)?(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      // An IPv6 address has colons of its own.
      const names = entry === host ? [host] : [name.replace(/^\[|\]$/g, '')];
      if (entryPort !== undefined && entryPort !== port && entry !== host) return false;
      return names.some((one) => one !== '' && (host === one || host.endsWith(`.${one}`)));
    });
}
