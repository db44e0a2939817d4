/** Sets of jobs and a log for looking at the dashboard: small, odd and huge. */
import { type JobSeed, storePath } from './seed-rows.ts';

const esc = '\u001b[';

/** What stdenv and a compiler print, ending badly. */
export const failedLog: readonly (string | Buffer)[] = [
  'Running phase: unpackPhase',
  'unpacking source archive /nix/store/3v0g6bwd5c0h8q2b4mzzx9jhcnq3v2bm-source',
  'source root is source',
  'Running phase: patchPhase',
  'Running phase: configurePhase',
  ...Array.from(
    { length: 24 },
    (_, index) =>
      `checking for ${['gcc', 'a BSD-compatible install', 'strlcpy', 'zlib.h', 'pthread_create', 'sys/epoll.h'][index % 6]}... ${esc}32myes${esc}0m`,
  ),
  'Running phase: buildPhase',
  'build flags: -j8 SHELL=/nix/store/9q4y2l1v0a7w7f6sn3m0dvxp5rmvdk2c-bash-5.2p26/bin/bash',
  ...Array.from(
    { length: 60 },
    (_, index) =>
      `[${index + 1}/61] ${esc}1mCC${esc}0m src/${['queue', 'lease', 'socket', 'parser', 'arena'][index % 5]}_${index}.c`,
  ),
  'Downloading vendored crates  10%\rDownloading vendored crates  55%\rDownloading vendored crates 100%',
  `${esc}1msrc/lease_61.c:142:17: ${esc}1;31merror: ${esc}0m${esc}1mimplicit declaration of function ‘lease_renew’; did you mean ‘lease_new’?${esc}0m [-Wimplicit-function-declaration]`,
  `  142 |         if (${esc}1;31mlease_renew${esc}0m(lease, now) < 0)`,
  `      |             ${esc}1;31m^~~~~~~~~~~${esc}0m`,
  `      |             ${esc}32mlease_new${esc}0m`,
  `${esc}1msrc/lease_61.c:150:9: ${esc}1;35mwarning: ${esc}0munused variable ‘n’ [-Wunused-variable]`,
  `${esc}41;97m FAILED ${esc}0m ${esc}38;5;208mlease_61.o${esc}0m ${esc}2mafter 1.2 s${esc}0m`,
  'make: *** [Makefile:31: src/lease_61.o] Error 1',
  '<script>alert("a log is text")</script>',
  Buffer.from([0x69, 0x6e, 0x76, 0x61, 0x6c, 0x69, 0x64, 0x20, 0xff, 0xfe, 0x20, 0x75, 0x74, 0x66]),
];

const systems = ['x86_64-linux', 'aarch64-linux', 'aarch64-darwin'];
const words = [
  'hello',
  'libfoo',
  'openssl',
  'curl',
  'ffmpeg',
  'nginx',
  'postgresql',
  'redis',
  'git',
  'zlib',
  'llvm',
  'rustc',
  'ghc',
  'qemu',
  'systemd',
  'mesa',
  'gtk4',
  'webkitgtk',
  'firefox',
  'python3',
];

/** A set as large as a real package collection. */
export function hugeJobs(number: number): JobSeed[] {
  return Array.from({ length: number }, (_, index) => {
    const base = words[index % words.length] ?? 'x';
    const path = ['packages', systems[index % 3] ?? '', `${base}_${Math.floor(index / 20)}`];
    const seed = {
      path,
      system: systems[index % 3] ?? '',
      name: `${base}-${1 + (index % 9)}.${index % 13}`,
      seconds: 4 + (index % 211),
    };
    if (index % 701 === 5)
      return {
        ...seed,
        state: 'failed',
        message: `builder for '${storePath(`${base}.drv`)}' failed with exit code 2`,
      };
    if (index % 997 === 7) return { ...seed, state: 'dependency-failed' };
    if (index % 59 === 3) return { ...seed, state: index % 3 === 0 ? 'queued' : 'blocked' };
    if (index % 311 === 9) return { ...seed, state: 'building' };
    return { ...seed, state: index % 4 === 0 ? 'succeeded' : 'cached' };
  });
}

export const smallSet = (state: (name: string) => string): JobSeed[] =>
  [
    'checks.x86_64-linux.clippy',
    'checks.x86_64-linux.test',
    'checks.x86_64-linux.rustfmt',
    'packages.x86_64-linux.default',
    'packages.x86_64-linux.docs',
    'packages.aarch64-linux.default',
    'devShells.x86_64-linux.default',
  ].map((text) => ({
    path: text.split('.'),
    state: state(text),
    system: text.includes('aarch64') ? 'aarch64-linux' : 'x86_64-linux',
    seconds: 6 + text.length,
  }));

export const oddJobs: readonly JobSeed[] = [
  { path: [], state: 'succeeded', name: 'root-job' },
  { path: ['checks', 'x86_64-linux', 'a.b "quoted" <b>'], state: 'succeeded' },
  { path: ['checks', 'x86_64-linux', 'grüße-世界-🎪'], state: 'succeeded' },
  { path: ['checks', '', 'empty-name-above'], state: 'cached' },
  { path: ['events'], state: 'cached' },
  { path: ['right\u202eto-left'], state: 'succeeded' },
  {
    path: [
      'nixosConfigurations',
      'the-machine-with-a-name-as-long-as-the-corridor-in-which-it-stands',
      'config',
      'system',
      'build',
      'toplevel',
    ],
    state: 'timed-out',
    seconds: 7200,
    message: 'timed out after 7200 seconds',
  },
  {
    path: ['checks', 'x86_64-linux', 'fixed-output'],
    state: 'output-mismatch',
    message:
      "hash mismatch in fixed-output derivation '/nix/store/…-source.drv':\n  specified: sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n       got: sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
  },
  {
    path: ['checks', 'x86_64-linux', 'flaky'],
    state: 'failed',
    mark: 'may-fail',
    message: 'builder failed with exit code 1',
  },
  {
    path: ['checks', 'x86_64-linux', 'must-not-build'],
    state: 'failed',
    mark: 'must-fail',
    message: 'builder failed with exit code 1',
  },
  {
    path: ['checks', 'x86_64-linux', 'kvm-test'],
    state: 'unsupported-system',
    message: 'no builder has the features kvm, nixos-test',
  },
];
