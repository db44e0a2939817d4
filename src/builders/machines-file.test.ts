import { describe, expect, test } from 'vitest';
import { describeConfigured, parseMachines } from './machines-file.ts';

const parse = (text: string) => parseMachines(text, '/etc/nix/machines', 'x86_64-linux');
const hostKey = Buffer.from('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh5').toString('base64');

describe("Nix's list of machines", () => {
  test('is read with all its fields', () => {
    const line = `ssh-ng://nix@far x86_64-linux,i686-linux /root/key 4 2.5 kvm,big gpu ${hostKey}`;
    const [machine] = parse(`# ours\n\n${line} # the big one\n`);
    expect(machine).toMatchObject({
      name: 'far',
      kind: 'ssh',
      systems: ['x86_64-linux', 'i686-linux'],
      features: ['kvm', 'big'],
      mandatoryFeatures: ['gpu'],
      slots: 4,
      speed: 2.5,
    });
    expect(machine?.uri).toContain('ssh-ng://nix@far?ssh-key=%2Froot%2Fkey&base64-ssh-public-host-key=');
  });

  test('fields that are left out have their defaults; machines of one name are numbered', () => {
    const [first, second] = parse('far\nssh://far - - 2');
    expect(first).toMatchObject({ name: 'far', uri: 'ssh-ng://far', systems: ['x86_64-linux'], slots: 1 });
    expect(second).toMatchObject({ name: 'far-2', uri: 'ssh-ng://far', slots: 2, speed: 1 });
  });

  test.each([
    ['ssh-ng://far x86_64-linux - many', /:1: 'many' is not a number of slots/],
    ['far\nfar x86_64-linux - 1 fast', /:2: 'fast' is not a speed/],
    ['far a,,b', /:1: '' among the systems/],
    ['@/etc/more', /:1: lists within lists/],
    ['ssh-ng://far;rm x86_64-linux', /:1: /],
    ['far a - 1 1 - - key more', /:1: there are 9 fields/],
  ])('%j is refused with its line', (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });
});

test('a builder of the configuration brings its keys with its address', () => {
  const described = describeConfigured({
    name: 'far',
    uri: 'ssh-ng://far',
    systems: ['x86_64-linux'],
    features: [],
    mandatory_features: [],
    slots: 1,
    speed: 1,
    trust_domains: ['trusted'],
    ssh_key: '/root/key',
    host_key: Buffer.from(hostKey, 'base64').toString(),
  });
  expect(described.uri).toContain('ssh-key=%2Froot%2Fkey');
});
