import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OperatorError } from '../../basics/index.ts';
import { parseSshAddress } from './address.ts';

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4sJrDqo2h8x';
const base64 = (text: string) => encodeURIComponent(Buffer.from(text).toString('base64'));

describe('the address of a machine behind ssh', () => {
  test('may be nothing but a host', () => {
    expect(parseSshAddress('ssh-ng://builder')).toEqual({
      name: 'ssh-ng://builder',
      user: undefined,
      host: 'builder',
      port: undefined,
      keyFile: undefined,
      hostKeys: undefined,
      remoteStore: undefined,
      remoteProgram: ['nix-daemon'],
      compress: false,
    });
  });

  test('may say who, where, with which keys, and what is there', () => {
    const address = parseSshAddress(
      'ssh-ng://nix@[2001:db8::1]:2222?ssh-key=/etc/key&remote-store=/srv/a%20b&compress=true' +
        `&remote-program=/opt/nix/bin/nix-daemon%20--verbose&base64-ssh-public-host-key=${base64(`${key} root@builder\n`)}`,
    );
    expect(address).toEqual({
      name: 'ssh-ng://nix@[2001:db8::1]:2222',
      user: 'nix',
      host: '2001:db8::1',
      port: 2222,
      keyFile: '/etc/key',
      hostKeys: [key],
      remoteStore: '/srv/a b',
      remoteProgram: ['/opt/nix/bin/nix-daemon', '--verbose'],
      compress: true,
    });
  });

  test.each([
    ['builder', /not of the form/],
    ['ssh-ng://-oProxyCommand=touch', /not of the form/],
    ['ssh-ng://-l@builder', /not of the form/],
    ['ssh-ng://user;id@builder', /not of the form/],
    ['ssh-ng://$(id)', /not of the form/],
    ['ssh-ng://builder:99999', /no port 99999/],
    ['ssh-ng://builder?ssh-key=key', /absolute path/],
    ['ssh-ng://builder?remote-store=/a%0Ab', /control character/],
    ['ssh-ng://builder?remote-program=sh%20-c%20%27id%27', /without quotes/],
    ['ssh-ng://builder?remote-program=$(id)', /without quotes/],
    ['ssh-ng://builder?ssh-kex=/k', /'ssh-kex' is not known/],
    [`ssh-ng://builder?base64-ssh-public-host-key=${base64('* ssh-ed25519 AAAA')}`, /ssh-ed25519 AAAA/],
    [
      `ssh-ng://builder?base64-ssh-public-host-key=${base64(`${key}\n@cert-authority *`)}`,
      /is not the base 64/,
    ],
  ])('is refused as %s', (text, message) => {
    expect(() => parseSshAddress(text)).toThrow(message);
  });

  test('is read or refused, and never has a host or user that ssh takes for an option', () => {
    const pieces = fc.constantFrom(
      'ssh-ng://',
      '-',
      'a',
      '@',
      ':',
      '22',
      '[',
      ']',
      '?',
      '&',
      '=',
      '/',
      '%',
      ' ',
      '\n',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        try {
          const { host, user } = parseSshAddress(`ssh-ng://${parts.join('')}`);
          expect(host).toMatch(/^[a-z0-9:.]/i);
          expect(user ?? 'a').toMatch(/^[a-z0-9_]/i);
        } catch (error) {
          expect(error).toBeInstanceOf(OperatorError);
        }
      }),
    );
  });
});
