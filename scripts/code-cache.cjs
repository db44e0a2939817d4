// Runs a `dist/cli/quick-*.cjs` as bin/ringmaster.js does, and keeps what V8 has compiled by the end:
//
//   node scripts/code-cache.cjs FILE ARGUMENT...
'use strict';
const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { Script } = require('node:vm');

const [node, , file, ...args] = process.argv;
const source = readFileSync(file, 'latin1');
const script = new Script(source, { filename: file });
// It finds no Nix and no database, so that it does the same wherever it is built.
const home = mkdtempSync(join(tmpdir(), 'ringmaster-build-'));
process.exit = () => {
  rmSync(home, { recursive: true, force: true });
  const id = source.slice(source.lastIndexOf('//'));
  writeFileSync(`${file}.cache`, Buffer.concat([script.createCachedData(), Buffer.from(id)]));
  process.reallyExit(0);
};
process.env = { PATH: '/nowhere', HOME: home, DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' };
process.argv = [node, file, ...args];
script.runInThisContext()(require, module, exports, file);
