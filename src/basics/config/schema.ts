/**
 * Every setting of the server: the one source of the configuration file's keys, the environment
 * variables, the checks, the defaults and docs/reference/configuration.md.
 *
 * A setting is written `publicUrl` here, `public_url` in the file, and `RINGMASTER_SERVER_PUBLIC_URL`
 * in the environment. Settings without a default here either may be absent or get theirs from the
 * machine (load.ts).
 */
import { z } from 'zod';
import { notifications } from './notification-settings.ts';
import { readPrivateKey } from './private-key.ts';
import { optionalText, settingNotes, text, wholeNumber } from './setting-notes.ts';
import { builders, builds, cache, evaluation, retention } from './work-settings.ts';

export { type SettingNotes, settingNotes } from './setting-notes.ts';

/** What a server process can do; all of it unless told otherwise. */
export const serverRoles = ['web', 'evaluator', 'scheduler'] as const;
export type ServerRole = (typeof serverRoles)[number];

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
  notifications,
});

export type Config = z.output<typeof configSchema>;
