import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { createLogger } from '../../basics/index.ts';
import { readableLog } from './readable-log.ts';
import { createStyle } from './style.ts';

/** What people see of what a logger is told. */
function shown(tell: (log: ReturnType<typeof createLogger>) => void): string {
  let text = '';
  const screen = new Writable({
    write(chunk, _encoding, done) {
      text += chunk;
      done();
    },
  });
  const style = createStyle({ env: { LANG: 'C.UTF-8' }, isTerminal: false, colour: false });
  tell(createLogger({ level: 'debug', destination: readableLog(screen, style) }));
  return text;
}

test('A message of the log is one line on a terminal: time, level, words and details', () => {
  const text = shown((log) => log.info({ version: 18, data: '/with a space', roles: ['web'] }, 'started'));
  expect(text).toMatch(
    /^\d\d:\d\d:\d\d info {2}started {2}version=18 data="\/with a space" roles=\["web"\]\n$/,
  );
});

test('An error shows its words and where it happened', () => {
  const text = shown((log) => log.error({ err: new Error('the disk is full') }, 'build not possible'));
  expect(text).toMatch(/^\S+ error build not possible: the disk is full\n +at /);
});

test('Nothing that is logged can move the cursor', () => {
  const text = shown((log) => log.warn({ name: '\u001b[2J' }, 'a\u001b]0;title\u0007b\rc'));
  expect(text).toMatch(/^\S+ warn {2}ab c /);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the point.
  expect(text.trimEnd()).not.toMatch(/[\u0000-\u001f]/);
});

test('Secrets are hidden there, too', () => {
  expect(shown((log) => log.info({ token: 'never-shown' }, 'x'))).not.toContain('never-shown');
});
