/**
 * Builders from files: `[[builders]]` of the configuration, and Nix's own list of machines
 * (/etc/nix/machines), one a line:
 *
 *   ssh-ng://nix@host x86_64-linux,i686-linux /root/key 4 2 kvm,big-parallel benchmark BASE64-HOST-KEY
 *
 * Fields at the end may be left out, `-` stands for the default.
 */
import { OperatorError } from '../basics/index.ts';
import { parseSshAddress } from '../nix/index.ts';
import type { BuilderDescription } from './registry.ts';

/** A builder as the configuration has it. */
export interface ConfiguredBuilder {
  readonly name: string;
  readonly uri: string;
  readonly systems: readonly string[];
  readonly features: readonly string[];
  readonly mandatory_features: readonly string[];
  readonly slots: number;
  readonly speed: number;
  readonly trust_domains: readonly string[];
  /** File of the private key. */
  readonly ssh_key?: string | undefined;
  /** `ssh-ed25519 AAAA…` */
  readonly host_key?: string | undefined;
}

/** Throws an OperatorError when an address is not one. */
export function describeConfigured(builder: ConfiguredBuilder): BuilderDescription {
  const { host_key: hostKey } = builder;
  const base64 = hostKey === undefined ? undefined : Buffer.from(hostKey).toString('base64');
  return {
    name: builder.name,
    kind: 'ssh',
    uri: addressWith(builder.uri, builder.ssh_key, base64),
    systems: builder.systems,
    features: builder.features,
    mandatoryFeatures: builder.mandatory_features,
    slots: builder.slots,
    speed: builder.speed,
    trustDomains: builder.trust_domains,
  };
}

/** Reads a list of machines. Throws an OperatorError that names file and line. */
export function parseMachines(text: string, file: string, defaultSystem: string): BuilderDescription[] {
  const found: BuilderDescription[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const fields = (line.split('#')[0] ?? '').trim().split(/\s+/).filter(Boolean);
    if (fields.length === 0) continue;
    try {
      const machine = parseMachine(fields, defaultSystem);
      const same = found.filter(({ name }) => name.replace(/-\d+$/, '') === machine.name).length;
      found.push(same === 0 ? machine : { ...machine, name: `${machine.name}-${same + 1}` });
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      throw new OperatorError({
        code: 'machines-file-invalid',
        message: `${file}:${index + 1}: ${error.message}`,
        hint: 'A line is: ADDRESS SYSTEMS KEY-FILE SLOTS SPEED FEATURES MANDATORY-FEATURES HOST-KEY',
        cause: error,
      });
    }
  }
  return found;
}

function parseMachine(fields: readonly string[], defaultSystem: string): BuilderDescription {
  if (fields.length > 8) throw wrong(`there are ${fields.length} fields, and 8 are known`);
  const [address = '', systems, key, slots, speed, features, mandatory, hostKey] = fields.map((field) =>
    field === '-' ? undefined : field,
  );
  if (address.startsWith('@')) throw wrong('lists within lists are not read');
  // Nix takes a bare name for ssh://, whose protocol knows less; ssh-ng needs the same on that machine.
  const uri = address.includes('://') ? address.replace(/^ssh:/, 'ssh-ng:') : `ssh-ng://${address}`;
  return {
    name: parseSshAddress(uri).host.replaceAll(/[^\w.-]/g, '-'),
    kind: 'ssh',
    uri: addressWith(uri, key, hostKey),
    systems: words(systems, 'systems') ?? [defaultSystem],
    features: words(features, 'features') ?? [],
    mandatoryFeatures: words(mandatory, 'mandatory features') ?? [],
    slots: wholeNumber(slots) ?? 1,
    speed: positive(speed) ?? 1,
    trustDomains: ['trusted'],
  };
}

function addressWith(uri: string, keyFile: string | undefined, hostKey: string | undefined): string {
  const parameters = new URLSearchParams({
    ...(keyFile !== undefined && { 'ssh-key': keyFile }),
    ...(hostKey !== undefined && { 'base64-ssh-public-host-key': hostKey }),
  }).toString();
  const address = parameters === '' ? uri : `${uri}${uri.includes('?') ? '&' : '?'}${parameters}`;
  parseSshAddress(address);
  return address;
}

function words(field: string | undefined, what: string): string[] | undefined {
  if (field === undefined) return undefined;
  const list = field.split(',');
  const bad = list.find((word) => !/^[\w.+-]{1,64}$/.test(word));
  if (bad !== undefined) throw wrong(`'${bad}' among the ${what} is not a name`);
  return list;
}

function wholeNumber(field: string | undefined): number | undefined {
  if (field === undefined) return undefined;
  const number = Number(field);
  if (!/^\d{1,4}$/.test(field) || number < 1) throw wrong(`'${field}' is not a number of slots`);
  return number;
}

function positive(field: string | undefined): number | undefined {
  if (field === undefined) return undefined;
  const number = Number(field);
  if (!/^\d{1,6}(\.\d{1,6})?$/.test(field) || number <= 0) throw wrong(`'${field}' is not a speed`);
  return number;
}

function wrong(message: string): OperatorError {
  return new OperatorError({ code: 'machine-invalid', message });
}
