/**
 * Every setting of the server: the one source of the configuration file's keys, the environment
 * variables, the checks, the defaults and docs/reference/configuration.md.
 *
 * A setting is written `publicUrl` here, `public_url` in the file, and `RINGMASTER_SERVER_PUBLIC_URL`
 * in the environment. Settings without a default here either may be absent or get theirs from the
 * machine (load.ts).
 */
import { z } from 'zod';
import { readPrivateKey } from './private-key.ts';

export interface SettingNotes {
  /** What it is for: one or two sentences for the reference. */
  readonly about: string;
  /** Completes "It must be …". */
  readonly expects: string;
  /** Customary environment variables besides RINGMASTER_SECTION_KEY. */
  readonly env?: readonly string[];
  /** `whole`: never shown. `password`: a URL whose password is not shown. */
  readonly secret?: 'whole' | 'password';
  /** Words for a default that depends on the machine. */
  readonly defaultText?: string;
}

/** What is known of each setting; read by the loader and by the reference's generator. */
export const settingNotes = z.registry<SettingNotes>();

/** What a server process can do; all of it unless told otherwise. */
export const serverRoles = ['web', 'evaluator', 'scheduler'] as const;
export type ServerRole = (typeof serverRoles)[number];

const text = z.string().min(1);
/** A new one each time: notes belong to one schema object. */
const optionalText = () => text.optional();
const wholeNumber = (from: number, to: number) => z.number().int().min(from).max(to);
/** A day per second of the longest month and more: larger values are mistakes of unit. */
const longestSeconds = 100 * 24 * 3600;

const server = z.object({
  host: text.default('127.0.0.1').register(settingNotes, {
    about: 'Address to listen on. `0.0.0.0` or `::` is every address of the machine.',
    expects: 'an IP address or host name',
    env: ['HOST'],
  }),
  port: wholeNumber(0, 65_535)
    .default(3000)
    .register(settingNotes, {
      about: 'Port to listen on. 0 takes a free one, which the ready line names.',
      expects: 'a port number from 0 to 65535',
      env: ['PORT'],
    }),
  publicUrl: z
    .url({ protocol: /^https?$/ })
    .transform((url) => url.replace(/\/+$/, ''))
    .optional()
    .register(settingNotes, {
      about: 'Where people and GitHub reach this server, for links in checks and comments.',
      expects: 'an http or https URL, for example https://ci.example.org',
      defaultText: 'the address it listens on',
    }),
  roles: z
    .array(z.enum(serverRoles))
    .min(1)
    .default([...serverRoles])
    .register(settingNotes, {
      about: 'What this process does. Several machines can share the roles, and one PostgreSQL.',
      expects: `a list of ${serverRoles.join(', ')}`,
    }),
});

const database = z.object({
  url: z
    .string()
    .regex(/^postgres(ql)?:\/\//)
    .optional()
    .register(settingNotes, {
      about:
        'A PostgreSQL server (14 or later) of your own. Without it, a built-in one runs in the data directory.',
      expects: 'a URL that starts with postgresql://',
      env: ['DATABASE_URL'],
      secret: 'password',
      defaultText: 'the built-in server',
    }),
  binaries: optionalText().register(settingNotes, {
    about: 'Directory of the programs `initdb` and `postgres` for the built-in server.',
    expects: 'a directory',
    defaultText: 'the ones that came with the program, else those on PATH',
  }),
});

const log = z.object({
  level: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .register(settingNotes, {
      about: 'The least important messages to log.',
      expects: 'fatal, error, warn, info, debug, trace or silent',
      env: ['LOG_LEVEL'],
    }),
});

const github = z.object({
  appId: z
    .union([z.number().int().positive(), z.string().regex(/^\d+$/)])
    .transform(String)
    .optional()
    .register(settingNotes, {
      about: "The GitHub App's id, from its settings page.",
      expects: 'a number',
      env: ['APP_ID'],
    }),
  privateKey: z
    .string()
    .transform(readPrivateKey)
    .pipe(text)
    .optional()
    .register(settingNotes, {
      about: "The App's private key: PEM text, also with `\\n` for line ends, or all of it in base64.",
      expects: 'a private key in PEM form',
      env: ['PRIVATE_KEY'],
      secret: 'whole',
    }),
  privateKeyPath: optionalText().register(settingNotes, {
    about: "File with the App's private key; relative to the configuration file that names it.",
    expects: 'a file name',
    env: ['PRIVATE_KEY_PATH'],
  }),
  webhookSecret: optionalText().register(settingNotes, {
    about: 'The secret with which GitHub signs deliveries, from the settings page of the App.',
    expects: 'text',
    env: ['WEBHOOK_SECRET'],
    secret: 'whole',
  }),
  host: optionalText().register(settingNotes, {
    about: 'Host, with port if need be, of a GitHub Enterprise Server.',
    expects: 'a host name, for example github.example.org',
    env: ['GHE_HOST'],
    defaultText: 'github.com',
  }),
  protocol: z
    .enum(['https', 'http'])
    .default('https')
    .register(settingNotes, {
      about: 'How to reach `github.host`.',
      expects: 'https or http',
      env: ['GHE_PROTOCOL'],
    }),
  commandWord: z
    .string()
    .regex(/^[\w/@!.-]{2,40}$/)
    .default('/ci')
    .register(settingNotes, {
      about: 'What commands in comments on pull requests begin with: `/ci rerun`.',
      expects: 'a word of letters, digits and / @ ! . - _, two or more',
    }),
});

const evaluation = z.object({
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

const builds = z.object({
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
  failureTtl: wholeNumber(0, longestSeconds).default(86_400).register(settingNotes, {
    about:
      'Seconds for which a derivation that failed by itself is known to fail: it is not tried again before, unless somebody asks. 0 always tries again.',
    expects: 'a whole number of seconds, or 0',
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
  agentLease: wholeNumber(1, 3600).default(45).register(settingNotes, {
    about:
      'Seconds that an agent may be away before what it builds is given to other builders; what it does when it comes back earlier goes on.',
    expects: 'a whole number of seconds from 1',
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

const retention = z.object({
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

const cache = z.object({
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
const builders = z
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

const web = z.object({
  privateProjects: z.enum(['hidden', 'visible']).default('hidden').register(settingNotes, {
    about: 'Whether visitors see projects whose repository is private.',
    expects: 'hidden or visible',
  }),
});

const reports = z.object({
  statuses: z.enum(['summary', 'per-attribute']).default('summary').register(settingNotes, {
    about: 'Commit statuses: one for the revision, or one more for every attribute.',
    expects: 'summary or per-attribute',
  }),
});

export const configSchema = z.object({
  dataDir: text.register(settingNotes, {
    about: 'Directory for everything the server keeps: database, logs, checkouts, keys.',
    expects: 'a directory',
    env: ['RINGMASTER_DATA_DIR'],
    defaultText:
      '`$XDG_STATE_HOME/ringmaster`, which is `~/.local/state/ringmaster`; `/var/lib/ringmaster` as root',
  }),
  server,
  database,
  log,
  github,
  evaluation,
  builds,
  builders,
  retention,
  cache,
  web,
  reports,
});

export type Config = z.output<typeof configSchema>;
