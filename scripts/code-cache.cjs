// Runs a `dist/cli/quick-*.cjs` as bin/ringmaster.js does, and keeps what V8 has compiled by the end:
//
//   node scripts/code-cache.cjs FILE ARGUMENT...
'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');

const [node, , file, ...args] = process.argv;
const source = readFileSync(file, 'latin1');
const script = new Script(source, { filename: file });
process.exit = () => {
  const id = source.slice(source.lastIndexOf('//'));
  writeFileSync(`${file}.cache`, Buffer.concat([script.createCachedData(), Buffer.from(id)]));
  process.reallyExit(0);
};
// It must do the same wherever it is built: it finds no Nix, and no database.
process.env = { PATH: '/nowhere', HOME: '/nowhere', DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' };
process.argv = [node, file, ...args];
script.runInThisContext()(require, module, exports, file);
