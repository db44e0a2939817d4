/**
 * The settings that a repository holds itself: the one source of the file's keys, their checks and
 * defaults, and docs/reference/repository-settings.md. Keys are named as in the file.
 */
import { z } from 'zod';

/** Read from the default branch only, so that no pull request changes the rules it is tested by. */
export const settingsFilePath = '.github/ringmaster.toml';

export interface RepositorySettingNotes {
  /** What it is for: a few sentences for the reference. */
  readonly about: string;
  /** Completes "It must be …". */
  readonly expects: string;
  /** Words for what holds where the file does not say. */
  readonly defaultText?: string;
}

const notes = z.registry<RepositorySettingNotes>();

/** Patterns and labels are stored and shown: no character in them that neither can be done with. */
const word = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[^\p{Cc}\p{Cs}]+$/u);
/** More are a mistake, and cost time for every file of every push. */
const mostWords = 100;
const words = () => z.array(word).max(mostWords);
const listOf = (what: string) => `a list of at most ${mostWords} ${what}`;

/** Each costs a few questions to GitHub an evaluation. */
const mostPins = 20;
const repositoryName = z.string().regex(/^[A-Za-z0-9-]{1,100}\/(?!\.{1,2}$)[A-Za-z0-9_.-]{1,100}$/);
const repositoryNameOrAll = z
  .string()
  .regex(/^[A-Za-z0-9-]{1,100}\/(?:\*$|(?!\.{1,2}$)[A-Za-z0-9_.-]{1,100}$)/);

const top = z.object({
  branches: words()
    .default(['*'])
    .register(notes, {
      about:
        'Branches whose pushes are evaluated. Commits of other branches are evaluated when pull requests bring them. Merge queues (`gh-readonly-queue/…`) always are.',
      expects: listOf('patterns, for example ["main", "release/*"]'),
    }),
  tags: words()
    .default([])
    .register(notes, {
      about: 'Tags that are evaluated when they are pushed.',
      expects: listOf('patterns, for example ["v*"]'),
    }),
  systems: z
    .array(z.string().regex(/^[a-z0-9_]{1,40}-[a-z0-9_]{1,40}$/))
    .min(1)
    .max(20)
    .optional()
    .register(notes, {
      about: 'Systems whose outputs are jobs, for repositories that are evaluated as flakes.',
      expects: 'a list of 1 to 20 systems, for example ["x86_64-linux", "aarch64-linux"]',
      defaultText: 'the one of the server',
    }),
  submodules: z.boolean().default(false).register(notes, {
    about:
      'Whether submodules are fetched, and theirs. Only those on the same server are, whatever protocol their address names; private ones have to be among `pins`. One that cannot be had fails the evaluation. Otherwise their folders are empty, which evaluations say.',
    expects: 'true or false',
  }),
  statuses: z.enum(['summary', 'per-attribute']).optional().register(notes, {
    about: 'Commit statuses besides the checks: one for the commit, or one more for every attribute.',
    expects: '"summary" or "per-attribute"',
    defaultText: "the server's `reports.statuses`",
  }),
  concurrency: z.number().int().min(1).max(1000).optional().register(notes, {
    about: 'Evaluations of this repository that may run at the same time.',
    expects: 'a whole number from 1 to 1000',
    defaultText: 'as many as the server runs',
  }),
  pins: z
    .array(repositoryName)
    .max(mostPins)
    .default([])
    .register(notes, {
      about:
        'Private repositories of the same account that evaluations fetch, as inputs or with `builtins.fetchGit` and the like. Each has to name this repository in its own `shared_with`. Code of forks never gets them, and neither does a public repository, whose results everybody may see.',
      expects: `a list of at most ${mostPins} repositories, for example ["acme/library"]`,
    }),
  shared_with: z
    .array(repositoryNameOrAll)
    .max(mostWords)
    .default([])
    .register(notes, {
      about:
        'Repositories whose evaluations may read this one, by naming it in their `pins`. Whoever can push to one of them can read all of this repository, and what they build from it is seen and fetched by those who may see them. `"acme/*"` stands for all of the account.',
      expects: listOf('repositories, for example ["acme/app"]'),
    }),
});

const pullRequests = z.object({
  drafts: z.boolean().default(true).register(notes, {
    about:
      'Whether drafts are evaluated. Those that are not wait until they are ready for review; their gate then is not green, so nothing is merged for it.',
    expects: 'true or false',
  }),
  labels_required: words()
    .default([])
    .register(notes, {
      about:
        'Pull requests are evaluated only while they have one of these labels; others wait, and their gate is not green.',
      expects: listOf('labels'),
    }),
  labels_ignored: words()
    .default([])
    .register(notes, {
      about: 'Pull requests with one of these labels are not evaluated; their gate is not green.',
      expects: listOf('labels'),
    }),
});

const paths = z.object({
  include: words()
    .default([])
    .register(notes, {
      about:
        'Files that matter; an empty list means all. A commit that changes none of them is not evaluated: its gate is neutral, which a required check takes for good, and names the filter. Pushes are judged by what they changed, pull requests by all their files; tags and merge queues are always evaluated, and so is what cannot be told (a forced push, a new branch, more than 20 commits or 300 files).',
      expects: listOf('patterns of paths, for example ["*.nix", "src/*"]'),
    }),
  exclude: words()
    .default([])
    .register(notes, {
      about: 'Files that do not matter, also where `include` names them.',
      expects: listOf('patterns of paths, for example ["docs/*", "*.md"]'),
    }),
});

/** What is read of the file, and of what was stored of one. Unknown keys are looked for elsewhere. */
export const repositorySettings = top.extend({
  pull_requests: pullRequests.prefault({}),
  paths: paths.prefault({}),
});
export type RepositorySettings = z.output<typeof repositorySettings>;

export const defaultRepositorySettings: RepositorySettings = repositorySettings.parse({});

export interface RepositorySetting {
  /** Dotted where it is in a section: `paths.include`. */
  readonly key: string;
  readonly schema: z.ZodType;
  readonly notes: RepositorySettingNotes;
}

/** Every key of the file, in the order of the reference. */
export const repositorySettingKeys: readonly RepositorySetting[] = [
  ...leaves('', top.shape),
  ...leaves('pull_requests.', pullRequests.shape),
  ...leaves('paths.', paths.shape),
];

function leaves(prefix: string, shape: Readonly<Record<string, z.ZodType>>): RepositorySetting[] {
  return Object.entries(shape).map(([name, schema]) => {
    const about = notes.get(schema);
    if (!about) throw new Error(`The setting '${prefix}${name}' has no notes.`);
    return { key: `${prefix}${name}`, schema, notes: about };
  });
}

/** The value of every key, under its dotted name; undefined where nothing is set. */
export function settingValues(settings: RepositorySettings): ReadonlyMap<string, unknown> {
  const { pull_requests, paths: filters, ...rest } = settings;
  const of = (prefix: string, section: object) =>
    Object.entries(section).map(([name, value]) => [`${prefix}${name}`, value] as const);
  const all = new Map<string, unknown>([
    ...of('', rest),
    ...of('pull_requests.', pull_requests),
    ...of('paths.', filters),
  ]);
  return new Map(repositorySettingKeys.map(({ key }) => [key, all.get(key)]));
}
