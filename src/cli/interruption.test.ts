import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { watchForInterruption } from './interruption.ts';

function start() {
  const signals = new EventEmitter();
  const exits: number[] = [];
  const stream = (): NodeJS.WriteStream => Object.setPrototypeOf(new PassThrough(), PassThrough.prototype);
  const [stdout, stderr] = [stream(), stream()];
  const interruption = watchForInterruption({
    ...{ stdout, stderr, env: {}, cwd: () => '/' },
    on: (signal, listener) => signals.on(signal, listener),
    off: (signal, listener) => signals.off(signal, listener),
    exit: (status) => {
      exits.push(status);
      throw new Error('exit');
    },
  });
  return { interruption, exits, stdout, send: (signal: string) => signals.emit(signal, signal) };
}

describe('a command that is interrupted', () => {
  it.each([
    ['SIGHUP', 129],
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('ends in order at %s', (signal, status) => {
    const { interruption, exits, send } = start();
    send(signal);
    expect(interruption.signal.aborted).toBe(true);
    expect(interruption.status()).toBe(status);
    expect(exits).toEqual([]);
  });

  it('ends at once at a second SIGTERM, but not when a closed terminal is told of twice', () => {
    const { exits, send } = start();
    send('SIGHUP');
    send('SIGHUP');
    expect(exits).toEqual([]);
    expect(() => send('SIGTERM')).toThrow('exit');
    expect(exits).toEqual([143]);
  });

  it('takes a terminal that is gone for a reader that is gone', () => {
    const { interruption, stdout } = start();
    stdout.emit('error', Object.assign(new Error('write EIO'), { code: 'EIO' }));
    expect(interruption.status()).toBe(141);
  });

  it('leaves signals alone afterwards', () => {
    const { interruption, send } = start();
    interruption.release();
    expect(send('SIGHUP')).toBe(false);
  });
});
