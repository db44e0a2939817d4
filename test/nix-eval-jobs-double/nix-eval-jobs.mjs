#!/usr/bin/env node
/**
 * A double of nix-eval-jobs for tests, on plain nix-instantiate (from PATH).
 *
 * What it does as the real one (2.33) does: the options that Ringmaster uses; the order of questions
 * (smallest attribute path first); auto-calling the root, everything on the way and every answer;
 * `recurseForDerivations` forced as a bool wherever it stands, the root included; looking names that
 * are numbers up as list indices; forcing outputs of derivations; one JSON line for each derivation
 * or error, with the same keys in the same order; errors on stderr too; exit status 0 as soon as the
 * root evaluates, else 1 with "worker error" and no line; the words with which it dies when a worker
 * dies, and the loss of what was not yet answered.
 *
 * What it does not: run several workers, look at memory, flakes, --apply, --constituents,
 * --check-cache-status, --show-input-drvs, --select; quotes inside attribute paths. It keeps no
 * session, so code shared by attributes is evaluated again after each error.
 *
 * Faults, by environment (a path is spelled with dots):
 *   DOUBLE_VERSION=2.33.1     what --version says; without it, as in all real ones, the option is unknown
 *   DOUBLE_WITHOUT=--select   an option to leave out of --help
 *   DOUBLE_KILL_AT=r._a       the worker is killed at that path
 *   DOUBLE_CRASH_AT=r._a      the worker exits with status 1 at that path
 *   DOUBLE_SEGV_AT=r._a       its stack overflows
 *   DOUBLE_UNSEEN_AT=r._a     the same, and nobody has noticed yet that it is dead; with both, later on
 *   DOUBLE_WORDS_AT=r._a      it says why before it dies, and nobody has noticed yet that it is dead
 *   DOUBLE_FATAL_AT=r._a      an error there ends the run after its line, as a stack overflow since 2.34
 *   DOUBLE_ALLOC_AT=r._a      it cannot allocate
 *   DOUBLE_NEWEST=1           as the versions after 2.34: it dies in their words, and takes a store behind
 *                             a socket at its word instead of reading derivations
 *   DOUBLE_NAMELESS_AT=r._a   the same, without naming the path
 *   DOUBLE_HALF_AT=r._a       half a line is printed, then it is killed
 *   DOUBLE_HANG_AT=r._a       it says nothing more
 *   DOUBLE_STUMBLE=FILE       exits with 1 at once if FILE does not exist, and creates it
 *   DOUBLE_PAD=BYTES          pads each line with a key of that length
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

const knownOptions = {
  workers: 1,
  'max-memory-size': 1,
  'gc-roots-dir': 1,
  meta: 0,
  'show-trace': 0,
  expr: 0,
  select: 1,
  'force-recurse': 0,
  impure: 0,
  apply: 1,
  'no-instantiate': 0,
  option: 2,
  help: 0,
  constituents: 0,
};

const fault = (name) => process.env[`DOUBLE_${name}`] ?? '';
const version = fault('VERSION');

function parseArguments(argv) {
  const wanted = {
    meta: false,
    forceRecurse: false,
    expression: false,
    trace: [],
    nix: [],
    source: undefined,
  };
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index];
    if (word === '-E' || word === '--expr') wanted.expression = true;
    else if (word === '-I') wanted.nix.push('-I', argv[++index]);
    else if (word === '--option') wanted.nix.push(word, argv[++index], argv[++index]);
    else if (word === '--meta') wanted.meta = true;
    else if (word === '--force-recurse') wanted.forceRecurse = true;
    else if (word === '--show-trace') wanted.nix.push(word);
    else if (word === '--help') help();
    else if (word === '--version' && version !== '') finish(`nix-eval-jobs ${version}\n`);
    else if (word.startsWith('--')) {
      const size = knownOptions[word.slice(2)];
      if (size === undefined) fail(`error: unrecognised flag '${word}'\n`);
      index += size;
    } else wanted.source = word;
  }
  if (wanted.source === undefined) fail(`error: no expression specified\n`);
  return wanted;
}

function help() {
  const lines = Object.keys(knownOptions)
    .map((name) => `  --${name}`)
    .filter((line) => line.trim() !== fault('WITHOUT'));
  finish(`USAGE: nix-eval-jobs [options] expr\n\n${lines.join('\n')}\n`);
}

function finish(text) {
  process.stdout.write(text);
  process.exit(0);
}

function fail(text) {
  process.stderr.write(text);
  process.exit(1);
}

/** What a worker does with one path, as Nix. Answers and questions are traced, as JSON. */
const workerRules = `
  patternOf = f: let parts = builtins.split "<attrspat([^>]*)>" (builtins.toXML f); in
    if builtins.length parts == 1 then null else builtins.head (builtins.elemAt parts 1);
  call = v:
    if builtins.isAttrs v && v ? __functor then call (v.__functor v)
    else if builtins.isFunction v && patternOf v != null then v { } else v;
  isNumber = name: builtins.match "[0-9]+" name != null;
  find = v: path:
    if path == [ ] then v
    else
      let
        name = builtins.head path;
        rest = builtins.tail path;
        set = call v;
      in
      if name == "" then throw "empty attribute name in selection path"
      else if isNumber name then
        if builtins.isList set then find (builtins.elemAt set (builtins.fromJSON name)) rest
        else throw "the expression selected by the selection path should be a list but is \${builtins.typeOf set}"
      else if !(builtins.isAttrs set) then throw "the expression selected by the selection path should be a set"
      else if !(set ? \${name}) then throw "attribute '\${name}' in selection path not found"
      else find set.\${name} rest;
  text = builtins.unsafeDiscardStringContext;
  outputsOf = d:
    if d ? outputs
    then builtins.foldl' (_: o: builtins.seq d.\${o}.outPath null) null d.outputs
    else builtins.seq d.outPath null;
  bool = v: if builtins.isBool v then v else throw "value is \${builtins.typeOf v} while a Boolean was expected";
  answer = path:
    let
      v = call (find root path);
    in
    if !(builtins.isAttrs v) then { attrs = [ ]; }
    else if v ? type && v.type == "derivation" then
      if !(v ? name) then throw "derivation name missing"
      else builtins.seq (outputsOf v) ({
        name = text v.name;
        drvPath = text v.drvPath;
      } // (if withoutReading then {
        outputs = if v ? outputs
          then builtins.listToAttrs (map (o: { name = o; value = text v.\${o}.outPath; }) v.outputs)
          else { out = text v.outPath; };
        system = v.system or "";
      } else { }) // (if withMeta then { meta = if v ? meta then builtins.mapAttrs (_: x: builtins.deepSeq x x) v.meta else null; } else { }))
    else
      let
        recurse =
          if forceRecurse then true
          else if v ? recurseForDerivations then bool v.recurseForDerivations
          else path == [ ];
      in
      { attrs = if recurse then builtins.attrNames v else [ ]; };
`;

const nixString = (text) => JSON.stringify(text).replaceAll('$', '\\$');

/** Asks for paths, and then for what lies below them, level by level. `once`: not below. */
function questions(wanted, paths, once) {
  const root = wanted.expression ? `(${wanted.source}\n)` : `(import ${nixString(resolve(wanted.source))})`;
  return `let
  withMeta = ${wanted.meta};
  withoutReading = ${withoutReading};
  forceRecurse = ${wanted.forceRecurse};
${workerRules}
  root = call ${root};
  say = kind: value: next: builtins.trace ("@double@" + kind + builtins.toJSON value) next;
  ask = path: let a = answer path; in builtins.deepSeq a (say "A" a a);
  walk = paths:
    let
      asked = map (path: { inherit path; reply = ask path; }) paths;
      below = builtins.concatMap ({ path, reply }: map (name: path ++ [ name ]) (reply.attrs or [ ])) asked;
    in
    builtins.seq (builtins.foldl' (_: one: builtins.seq one.reply null) null asked)
      (say "L" null (if ${once} || below == [ ] then null else walk below));
in builtins.seq root (say "R" null (walk (builtins.fromJSON ${nixString(JSON.stringify(paths))})))`;
}

/**
 * Asks for paths in order until one kills the process. Returns what is still to be asked for, and the
 * path that killed it.
 */
function askInOrder(wanted, paths, once, { onJob, onLevel }) {
  return new Promise((done) => {
    const child = spawn(
      'nix-instantiate',
      ['--eval', '--read-write-mode', '--no-build-output', ...wanted.nix, '-'],
      { stdio: ['pipe', 'ignore', 'pipe'] },
    );
    child.stdin.on('error', () => {});
    child.stdin.end(questions(wanted, paths, once));
    let level = paths;
    let answered = 0;
    let below = [];
    let rooted = false;
    let words = [];
    const answer = (reply) => {
      const path = level[answered++];
      if (reply.attrs) below.push(...reply.attrs.map((name) => [...path, name]));
      else onJob(path, reply);
    };
    const nextLevel = () => {
      level = once ? [] : below;
      if (!once) below = [];
      answered = 0;
      onLevel();
    };
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (!line.startsWith('trace: @double@')) return words.push(line);
      const kind = line.charAt(15);
      if (kind === 'R') rooted = true;
      if (kind === 'A') answer(JSON.parse(line.slice(16)));
      if (kind === 'L') nextLevel();
      if (words.length > 0) process.stderr.write(`${words.join('\n')}\n`);
      words = [];
    });
    child.on('close', (status) => {
      const [culprit, ...rest] = level.slice(answered);
      done({ todo: [...below, ...rest], culprit: status === 0 ? undefined : culprit, rooted, words });
    });
  });
}

/** What newer ones do not read, they have from the evaluation. */
const withoutReading = fault('NEWEST') !== '' && (process.env.NIX_REMOTE ?? '').startsWith('unix:');

/** The real one asks the store whether a derivation is valid before it reads the file. */
async function askForValidity(drvPaths) {
  for (let from = 0; from < drvPaths.length; from += 5000) {
    const paths = drvPaths.slice(from, from + 5000);
    const child = spawn('nix-store', ['--check-validity', ...paths], { stdio: 'ignore' });
    await new Promise((done) => child.on('close', done));
  }
}

function derivationFacts(drvPath) {
  const remote = process.env.NIX_REMOTE ?? '';
  const root = remote.startsWith('/')
    ? remote
    : (new URLSearchParams(remote.split('?')[1]).get('root') ?? '');
  const text = readFileSync(root + drvPath, 'utf8');
  const strings = String.raw`"((?:[^"\\]|\\.)*)"`;
  const outputs = {};
  const end = text.indexOf('],');
  const one = new RegExp(`\\(${strings},${strings},${strings},${strings}\\)`, 'g');
  for (const match of text.slice(0, end).matchAll(one)) outputs[match[1]] = match[2] === '' ? null : match[2];
  const system = text.match(new RegExp(`\\],${strings},${strings},\\[`))?.[1];
  const features = text.match(new RegExp(`\\("requiredSystemFeatures",${strings}\\)`))?.[1];
  return { outputs, requiredSystemFeatures: features ? features.split(' ') : [], system };
}

function quoted(path) {
  return path.map((name) => (name.includes('.') ? `"${name}"` : name)).join('.');
}

async function printAll(lines) {
  const pad = Number(fault('PAD'));
  let ready = '';
  for (const [path, rest] of lines) {
    const line = { attr: quoted(path), attrPath: path, ...rest };
    if (pad > 0) line.zPad = 'x'.repeat(pad);
    // Keys in byte order, as the real one prints them.
    const sorted = Object.fromEntries(Object.entries(line).sort(([a], [b]) => (a < b ? -1 : 1)));
    const text = JSON.stringify(sorted);
    if (fault('HALF_AT') === path.join('.')) {
      process.stdout.write(ready + text.slice(0, text.length / 2), () =>
        die(path, 'got killed by SIGKILL, maybe memory limit reached?'),
      );
      return new Promise(() => {});
    }
    ready += `${text}\n`;
    if (ready.length < 65536) continue;
    await write(ready);
    ready = '';
  }
  if (ready !== '') await write(ready);
}

const write = (text) => new Promise((done) => process.stdout.write(text, done));

function die(path, how) {
  const plain = /^[A-Za-z_][A-Za-z0-9_'-]*$/;
  const doing = fault('NEWEST')
    ? `evaluating '${path.map((name) => (plain.test(name) ? name : `"${name}"`)).join('.')}'`
    : `reading result for attrPath '${path.join('.')}'`;
  fail(`error: while ${doing}, evaluation worker ${how}\n`);
}

const isAgain = ({ nix }) => nix.some((word) => word.startsWith('__ringmaster-exceptions='));

/** What an expression does not look at cannot kill anything: paths in the file of the wrapper. */
function leftOutBy({ nix }) {
  const file = nix.map((word) => word.match(/^__ringmaster-exceptions=(.*)/)?.[1]).find(Boolean);
  return file ? JSON.parse(readFileSync(file, 'utf8')).skip : [];
}

/** `again`: it is not the first run. */
function beforeAsking(path, again) {
  const spelled = path.join('.');
  if (fault('KILL_AT') === spelled) die(path, 'got killed by SIGKILL, maybe memory limit reached?');
  if (fault('CRASH_AT') === spelled) die(path, 'exited with exit code 1, (possible infinite recursion)');
  if (fault('NAMELESS_AT') === spelled)
    fail(
      'error: BUG: while waiting, evaluation worker pipe got closed but evaluation worker still running?\n',
    );
  const unseen = fault('UNSEEN_AT') === spelled;
  if (fault('SEGV_AT') === spelled && !(unseen && again))
    die(path, 'got killed by SIGSEGV, (possible infinite recursion)');
  const words = fault('WORDS_AT') === spelled;
  if (words || unseen)
    fail(
      (words ? 'error: because of this\n[json.exception.type_error.316] invalid UTF-8 byte\n' : '') +
        `error: BUG: while reading result for attrPath '${spelled}', worker pipe got closed but evaluation worker still running?\n`,
    );
  const error = fault('FATAL_AT') === spelled ? 'error: stack overflow; max-call-depth exceeded' : '';
  const said = error || (fault('ALLOC_AT') === spelled ? 'std::bad_alloc' : '');
  if (said !== '') {
    process.stdout.write(`${JSON.stringify({ attr: quoted(path), attrPath: path, error: said })}\n`);
    process.stderr.write(`${said}\n`);
  }
  if (error !== '') fail(`${error}\n`);
  if (said !== '') return 'answered';
  return fault('HANG_AT') === spelled ? 'hang' : 'ask';
}

const compare = (a, b) => {
  const [left, right] = [a, b].map((path) => path.map((name) => Buffer.from(name)));
  for (let index = 0; index < Math.min(left.length, right.length); index += 1) {
    const order = Buffer.compare(left[index], right[index]);
    if (order !== 0) return order;
  }
  return left.length - right.length;
};

async function main() {
  const wanted = parseArguments(process.argv.slice(2));
  const stumble = fault('STUMBLE');
  if (stumble !== '' && !existsSync(stumble)) {
    writeFileSync(stumble, '');
    fail('error: creating a store: it exists now\n');
  }
  const isFault = ([name]) => /^DOUBLE_.*_AT$/.test(name);
  const leftOut = leftOutBy(wanted);
  const faults = new Set(
    Object.entries(process.env)
      .filter(isFault)
      .map(([, value]) => value)
      .filter((path) => !leftOut.includes(path)),
  );
  let todo = [[]];
  let jobs = [];
  let printed = Promise.resolve();
  const printJobs = () => {
    const some = jobs;
    jobs = [];
    printed = printed.then(async () => {
      if (withoutReading) return printAll(some);
      await askForValidity(some.map(([, { drvPath }]) => drvPath));
      await printAll(some.map(([path, reply]) => [path, { ...reply, ...derivationFacts(reply.drvPath) }]));
    });
  };
  for (let first = true; todo.length > 0; first = false) {
    todo.sort(compare);
    const stopAt = todo.findIndex((path) => faults.has(path.join('.')));
    if (stopAt === 0) {
      const next = beforeAsking(todo[0], isAgain(wanted));
      if (next === 'hang') return setInterval(() => {}, 1 << 30);
      if (next === 'answered') {
        todo = todo.slice(1);
        continue;
      }
    }
    const asked = stopAt === -1 ? todo : todo.slice(0, Math.max(stopAt, 1));
    const later = todo.slice(asked.length);
    const result = await askInOrder(wanted, asked, faults.size > 0, {
      onJob: (path, reply) => jobs.push([path, reply]),
      onLevel: printJobs,
    });
    printJobs();
    await printed;
    const text = result.words.join('\n').trimEnd();
    if (first && !result.rooted)
      fail(`${text}\nerror: worker error: ${text.replaceAll('\n', '\n       ')}\n`);
    if (result.culprit) {
      process.stderr.write(`${text}\n`);
      // A call that is too deep is an ordinary error of Nix 2.20 and later.
      await printAll([[result.culprit, { error: text.slice(text.search(/^error:/m)) }]]);
    }
    todo = [...result.todo, ...later];
  }
}

await main();
