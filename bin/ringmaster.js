#!/usr/bin/env node
// Starts what `npm run build` has made. Some commands are also in files of their own, which are loaded
// in a tenth of the time (docs/adr/0015-one-file-for-quick-commands.md); without them, all just starts later.
'use strict';
const { readFileSync, statSync } = require('node:fs');
const { join } = require('node:path');
const { Script } = require('node:vm');

const name = quickFile(process.argv.slice(2));
if (name === undefined || !runQuick(join(__dirname, '../dist/cli', name))) import('../dist/cli/main.js');

/** The file with the only command that the arguments can lead to. */
function quickFile(args) {
  const [command, action] = args.filter((arg) => !['--verbose', '--quiet', '--no-color'].includes(arg));
  if (command === 'build') return action === 'log' ? 'quick-log.cjs' : undefined;
  const others = [undefined, 'help', '--help', '-h', '--version', '-V'];
  return command === 'run' || others.includes(command) ? 'quick-run.cjs' : undefined;
}

function runQuick(file) {
  const source = read(file, 'latin1');
  if (source === undefined || isStale(file)) return false;
  const cache = read(`${file}.cache`);
  // The cache is one of this very file. V8 itself refuses one of another version or machine.
  const id = source.slice(source.lastIndexOf('//'));
  const cachedData =
    cache?.subarray(-id.length).toString() === id ? cache.subarray(0, -id.length) : undefined;
  const script = new Script(source, { filename: file, cachedData });
  script.runInThisContext()(require, module, exports, file);
  return true;
}

/** Whether the modules were compiled since. What is installed has no mark of the compiler. */
function isStale(file) {
  const [compiled, made] = [join(__dirname, '../dist/build.tsbuildinfo'), file].map(
    (name) => statSync(name, { throwIfNoEntry: false })?.mtimeMs ?? 0,
  );
  return compiled > made;
}

function read(name, encoding) {
  try {
    return readFileSync(name, encoding);
  } catch {
    return undefined;
  }
}
