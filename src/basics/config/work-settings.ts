/** Settings of the work itself: evaluating, building, on which machines, and what is kept of it. */
import { z } from 'zod';
import { longestSeconds, optionalText, settingNotes, text, wholeNumber } from './setting-notes.ts';

/** Seconds for which an agent's attempt is nobody else's after the last word from it, or from its server. */
export const longestAgentLease = 45;

export const evaluation = z.object({
  evaluator: z.enum(['auto', 'nix-eval-jobs', 'built-in']).default('auto').register(settingNotes, {
    about: 'Who evaluates: `auto` takes nix-eval-jobs where it is installed.',
    expects: 'auto, nix-eval-jobs or built-in',
  }),
  concurrency: wholeNumber(1, 1024).default(2).register(settingNotes, {
    about: 'Evaluations at the same time.',
    expects: 'a whole number from 1',
  }),
  timeout: wholeNumber(1, longestSeconds).default(3600).register(settingNotes, {
    about: 'Seconds for one evaluation, without those in which it waits for builds.',
    expects: 'a whole number of seconds',
  }),
  attributeTimeout: wholeNumber(1, longestSeconds).default(300).register(settingNotes, {
    about: 'Seconds without progress after which the attribute under evaluation is given up.',
    expects: 'a whole number of seconds',
  }),
  importTimeout: wholeNumber(1, longestSeconds).default(3600).register(settingNotes, {
    about:
      'Seconds for one build that an evaluation waits for (import from derivation), with what it needs. The times of the evaluation stand still meanwhile.',
    expects: 'a whole number of seconds',
  }),
  maxImports: wholeNumber(0, 1_000_000).default(100).register(settingNotes, {
    about: 'Derivations that one evaluation may have built for itself (import from derivation).',
    expects: 'a whole number',
  }),
  importBuilds: wholeNumber(1, 1024).default(2).register(settingNotes, {
    about:
      'Builds at the same time that evaluations wait for (import from derivation), of all evaluations of a server together. They come on top of `builds.slots`.',
    expects: 'a whole number from 1 to 1024',
  }),
  memory: wholeNumber(64, 1_048_576).default(4096).register(settingNotes, {
    about: 'Megabytes of memory for one evaluator process.',
    expects: 'a whole number of megabytes from 64',
  }),
  systems: z.array(text).default([]).register(settingNotes, {
    about: 'Systems whose outputs of flakes are jobs, for example `x86_64-linux`.',
    expects: 'a list of systems',
    defaultText: 'the system of this machine',
  }),
  maxAttributes: wholeNumber(1, 10_000_000).default(50_000).register(settingNotes, {
    about: 'Attributes, jobs and errors together, after which an evaluation is ended.',
    expects: 'a whole number from 1',
  }),
  maxMessageBytes: wholeNumber(1024, 16 * 1024 * 1024)
    .default(64 * 1024)
    .register(settingNotes, {
      about: 'Bytes of one error message or notice; longer ones are cut.',
      expects: 'a whole number of bytes from 1024',
    }),
  checkoutLimit: wholeNumber(1024, 2 ** 50)
    .default(16 * 2 ** 30)
    .register(settingNotes, {
      about:
        'Bytes that the files of one commit may have together, submodules included; one with more is not evaluated.',
      expects: 'a whole number of bytes from 1024',
      defaultText: '16 GiB',
    }),
  jail: z.enum(['auto', 'required', 'off']).default('auto').register(settingNotes, {
    about:
      'Whether evaluations are locked in with bubblewrap. `auto`: where that works; elsewhere trusted code is evaluated with a notice, and untrusted code is refused. `required`: nothing is evaluated without. `off`: trusted code only, and never locked in.',
    expects: 'auto, required or off',
  }),
  audit: z.enum(['enforce', 'off']).default('enforce').register(settingNotes, {
    about:
      'Whether a derivation is refused that takes in a store path which its own evaluation did not make, no earlier evaluation of its project added, and no public cache has signed. `off` lets every project use what is in the store of all.',
    expects: 'enforce or off',
  }),
  publicKeys: z
    .array(text)
    .default(['cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY='])
    .register(settingNotes, {
      about: 'Keys of caches that everybody may read: what they have signed, every project may use.',
      expects: 'a list of public keys of binary caches',
    }),
  readablePaths: z.array(text).default([]).register(settingNotes, {
    about:
      'More files and folders that evaluators may read, for example what a nix-eval-jobs of your own consists of.',
    expects: 'a list of absolute paths',
  }),
  workers: wholeNumber(1, 1024).default(1).register(settingNotes, {
    about: 'Evaluator processes for one evaluation (nix-eval-jobs only).',
    expects: 'a whole number from 1',
  }),
  allowedUris: z
    .array(text)
    .default(['https://', 'ssh://', 'git+https://', 'git+ssh://', 'github:', 'gitlab:', 'sourcehut:'])
    .register(settingNotes, {
      about: 'Prefixes of URLs that evaluations may fetch from, pinned by a hash or not.',
      expects: 'a list of URL prefixes',
    }),
});

export const builds = z.object({
  builderRest: wholeNumber(1, longestSeconds).default(60).register(settingNotes, {
    about:
      'Seconds for which a builder gets no builds after its machine failed; three times as long for each further failure in a row, up to 27 minutes.',
    expects: 'a whole number of seconds from 1',
  }),
  slots: wholeNumber(0, 1024).default(1).register(settingNotes, {
    about: 'Builds at the same time on this machine. 0 builds nothing here.',
    expects: 'a whole number from 0 to 1024',
    defaultText: 'the number of processor cores',
  }),
  timeout: wholeNumber(0, longestSeconds).default(36_000).register(settingNotes, {
    about: 'Seconds for one build; 0 is no limit.',
    expects: 'a whole number of seconds, or 0',
  }),
  maxSilent: wholeNumber(0, longestSeconds).default(7200).register(settingNotes, {
    about: 'Seconds without output after which a build is stopped; 0 is no limit.',
    expects: 'a whole number of seconds, or 0',
  }),
  logLimit: wholeNumber(1024, 2 ** 40)
    .default(64 * 1024 * 1024)
    .register(settingNotes, {
      about: 'Bytes of output after which a build is stopped.',
      expects: 'a whole number of bytes from 1024',
    }),
  unsupportedTimeout: wholeNumber(0, longestSeconds).default(0).register(settingNotes, {
    about:
      'Seconds that a build waits for a builder of its system and features to be registered; then it ends as `unsupported-system`. 0 ends it at once.',
    expects: 'a whole number of seconds, or 0',
  }),
  lostTimeout: wholeNumber(1, longestSeconds).default(600).register(settingNotes, {
    about:
      'Seconds that a build with which a machine was lost waits for one that can build it, when none is there; then it ends as `builder-lost` and names the machines.',
    expects: 'a whole number of seconds from 1',
  }),
  failureTtl: wholeNumber(0, longestSeconds).default(86_400).register(settingNotes, {
    about:
      'Seconds for which a derivation that failed by itself is known to fail: it is not tried again before, unless somebody asks. 0 always tries again.',
    expects: 'a whole number of seconds, or 0',
  }),
  checkPercent: wholeNumber(0, 100).default(0).register(settingNotes, {
    about:
      'Per cent of the builds that succeed, chosen at random, that are built once more when a builder is free, to see whether the same comes out. What is found stands beside the build and changes no result. Downloads are left out.',
    expects: 'a whole number of per cent, or 0',
  }),
  supersedeDefaultBranch: z.boolean().default(false).register(settingNotes, {
    about:
      'Whether a newer commit of the default branch cancels what is left of older ones. On other branches and pull requests it always does.',
    expects: 'true or false',
  }),
  psiThreshold: wholeNumber(1, 101).default(80).register(settingNotes, {
    about:
      'Per cent of pressure (Linux PSI, the last ten seconds, of processor, memory or disk) above which an agent gets no more builds; 101 never withholds any.',
    expects: 'a whole number of per cent from 1 to 101',
  }),
  agentLease: wholeNumber(1, longestAgentLease)
    .default(longestAgentLease)
    .register(settingNotes, {
      about:
        'Seconds that an agent may be away before what it builds is given to other builders; what it does when it comes back earlier goes on. While no server is there, agents keep what they build for 45 s in any case.',
      expects: `a whole number of seconds from 1 to ${longestAgentLease}`,
    }),
  machinesFile: optionalText().register(settingNotes, {
    about: "A list of machines in Nix's own format to build on over SSH, for example /etc/nix/machines.",
    expects: 'a file name',
  }),
  sandbox: z.enum(['required', 'off']).default('required').register(settingNotes, {
    about: "Whether builds must run in Nix's sandbox. `off` is only for machines where it cannot work.",
    expects: 'required or off',
  }),
});

export const retention = z.object({
  keepEvaluations: wholeNumber(0, 1000).default(3).register(settingNotes, {
    about:
      'Evaluations of each branch and pull request, the newest ones, whose results are kept from garbage collection.',
    expects: 'a whole number from 0',
  }),
  keepDays: wholeNumber(0, 36_500).default(30).register(settingNotes, {
    about:
      'Days after which results of a branch or pull request are let go although they are its newest; 0 is never. Those of the default branch are always kept.',
    expects: 'a whole number of days, or 0',
  }),
  historyDays: wholeNumber(0, 36_500).default(400).register(settingNotes, {
    about: 'Days after which evaluations, builds and their logs are removed; 0 is never.',
    expects: 'a whole number of days, or 0',
  }),
});

export const cache = z.object({
  public: z.boolean().default(false).register(settingNotes, {
    about:
      'Whether everybody may fetch from the binary cache. Otherwise a token of `ringmaster token create` is needed, or that of an agent.',
    expects: 'true or false',
  }),
  keyName: z
    .string()
    .regex(/^[\w.-]+$/)
    .optional()
    .register(settingNotes, {
      about: 'Name of the key that signs what the cache serves, when it is made at the first start.',
      expects: 'a name of letters, digits, dots and hyphens, for example cache.example.org-1',
      defaultText: 'the host of `server.public_url`, and `-1`',
    }),
  secretKeyFile: optionalText().register(settingNotes, {
    about:
      'File with the secret key that signs what the cache serves, for several servers that are to have the same.',
    expects: 'a file name',
    defaultText: '`cache/secret-key` in the data directory',
  }),
  trustedPublicKeys: z
    .array(text)
    .default(['cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY='])
    .register(settingNotes, {
      about: 'Public keys of other caches whose paths the cache hands on.',
      expects: 'a list of public keys',
    }),
  compression: z.enum(['zstd', 'none']).default('zstd').register(settingNotes, {
    about: 'How the cache compresses what it sends; small files never are.',
    expects: 'zstd or none',
  }),
  maxNarBytes: wholeNumber(1024, 2 ** 50)
    .default(16 * 1024 ** 3)
    .register(settingNotes, {
      about: 'Bytes of the largest store path that can be uploaded to the cache.',
      expects: 'a whole number of bytes from 1024',
    }),
});

const names = z.array(z.string().regex(/^[\w.+-]{1,64}$/));
export const builders = z
  .array(
    z.strictObject({
      name: z.string().regex(/^[A-Za-z0-9][\w.-]{0,62}$/),
      uri: z.string().regex(/^ssh-ng:\/\/[^\s/]/),
      systems: names.min(1),
      features: names.default([]),
      mandatory_features: names.default([]),
      slots: wholeNumber(1, 1024).default(1),
      speed: z.number().positive().default(1),
      trust_domains: names.min(1).default(['trusted']),
      ssh_key: text.optional(),
      host_key: text.optional(),
    }),
  )
  .default([])
  .register(settingNotes, {
    about:
      'Machines to build on over SSH, a `[[builders]]` table each: `name`, `uri` (`ssh-ng://user@host`), `systems`, `features`, `mandatory_features`, `slots`, `speed`, `trust_domains`, `ssh_key` (a file) and `host_key` (`ssh-ed25519 AAAA…`). All schedulers are to have the same.',
    expects: 'a list of tables with at least name, uri and systems',
  });
