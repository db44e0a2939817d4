#!/usr/bin/env node
// Starts what `npm run build` has made. Some commands are also in one file of their own, which is loaded
// in a tenth of the time (docs/adr/0015-one-file-for-quick-commands.md); without it they just start later.
'use strict';
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { Script } = require('node:vm');

const file = join(__dirname, '../dist/cli/quick.cjs');
if (!isQuick(process.argv.slice(2)) || !runQuick()) import('../dist/cli/main.js');

/** Whether the arguments can only lead to a command that is in that file. */
function isQuick(args) {
  const [command, action] = args.filter((arg) => !['--verbose', '--quiet', '--no-color'].includes(arg));
  if (command === 'build') return action === 'log';
  return [undefined, 'run', 'help', '--help', '-h', '--version', '-V'].includes(command);
}

function runQuick() {
  const source = read(file, 'latin1');
  if (source === undefined) return false;
  const cache = read(`${file}.cache`);
  // The cache is one of this very file. V8 itself refuses one of another version or machine.
  const id = source.slice(source.lastIndexOf('//'));
  const cachedData =
    cache?.subarray(-id.length).toString() === id ? cache.subarray(0, -id.length) : undefined;
  const script = new Script(source, { filename: file, cachedData });
  script.runInThisContext()(require, module, exports, file);
  return true;
}

function read(name, encoding) {
  try {
    return readFileSync(name, encoding);
  } catch {
    return undefined;
  }
}
