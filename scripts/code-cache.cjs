// Runs `dist/cli/quick.cjs` as bin/ringmaster.js does, on no checkout, and keeps what V8 has compiled by
// then: node scripts/code-cache.cjs FILE
'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');

const [, , file] = process.argv;
const source = readFileSync(file, 'latin1');
const script = new Script(source, { filename: file });
process.once('exit', () => {
  process.exitCode = 0;
  const id = source.slice(source.lastIndexOf('//'));
  writeFileSync(`${file}.cache`, Buffer.concat([script.createCachedData(), Buffer.from(id)]));
});
// It must do the same wherever it is built.
process.env = { PATH: '/nowhere', HOME: '/nowhere' };
process.argv = [process.argv[0], file, 'run', '/nowhere'];
script.runInThisContext()(require, module, exports, file);
