import { describe, expect, test } from 'vitest';
import { compareSettings, parseSettingsFile, reviewProposal } from './settings-parse.ts';
import { defaultRepositorySettings, repositorySettingKeys } from './settings-schema.ts';

const problemsOf = (text: string) => parseSettingsFile(text).problems;

describe('a settings file', () => {
  test('that is missing or empty leaves everything as it is by default', () => {
    expect(parseSettingsFile(undefined).settings).toEqual(defaultRepositorySettings);
    expect(parseSettingsFile('').settings).toMatchObject({ branches: ['*'], tags: [] });
    expect(parseSettingsFile('# nothing\n').problems).toEqual([]);
  });

  test('says what it says, and the rest stays as it is by default', () => {
    const { settings, values, problems } = parseSettingsFile(`
      branches = ["main"]
      systems = ["x86_64-linux", "aarch64-darwin"]
      concurrency = 2
      paths.exclude = ["docs/*"]
      [pull_requests]
      drafts = false
    `);
    expect(problems).toEqual([]);
    expect(settings).toEqual({
      ...defaultRepositorySettings,
      branches: ['main'],
      systems: ['x86_64-linux', 'aarch64-darwin'],
      concurrency: 2,
      paths: { include: [], exclude: ['docs/*'] },
      pull_requests: { drafts: false, labels_required: [], labels_ignored: [] },
    });
    expect(Object.keys(values).sort()).toEqual([
      'branches',
      'concurrency',
      'paths',
      'pull_requests',
      'systems',
    ]);
  });

  test.each([
    ['an unknown key', 'tags = []\nbranch = []', 2, "There is no setting 'branch'. Did you mean 'branches'?"],
    ['a key in the wrong section', '[paths]\n\ndrafts = true', 3, "Did you mean 'pull_requests.drafts'?"],
    ['an unknown section', 'tags = []\n[path]\ninclude = []', 2, "Did you mean 'paths'?"],
    ['a section that is none', 'paths = ["docs"]', 1, "'paths' is a section: write [paths]"],
    ['a value of another kind', '\n\ntags = "v*"', 3, "'tags' must be a list of at most 100 patterns"],
    ['a number that is too small', 'concurrency = 0', 1, 'must be a whole number from 1 to 1000'],
    ['a system that is none', 'systems = ["linux"]', 1, "'systems' must be a list of 1 to 20 systems"],
    ['a key in an inline table', '\npaths = { includes = [] }', 2, "Did you mean 'paths.include'?"],
    ['a name from JavaScript', 'constructor = 1', 1, "There is no setting 'constructor'"],
    ['a name with a line end', '"a\\nb" = 1', 1, "There is no setting 'a\ufffdb'"],
    ['characters nobody can store', 'branches = ["a\\u0000"]', 1, "'branches' must be a list"],
  ])('with %s names it and its line', (_, text, line, words) => {
    expect(problemsOf(text)).toEqual([{ line, message: expect.stringContaining(words) }]);
  });

  test('that is not TOML says where it ends to be', () => {
    expect(problemsOf('tags = []\nbranches = [main]\n')).toEqual([
      { line: 2, message: expect.stringMatching(/^This is not valid TOML: /) },
    ]);
  });

  test('with several mistakes names all of them by line, and counts for nothing', () => {
    const { problems, values, settings } = parseSettingsFile(
      'tags = ["v*"]\n[pull_requests]\nlabel = 1\n[paths]\nexclude = 2\n',
    );
    expect(problems.map(({ line }) => line)).toEqual([3, 5]);
    expect(values).toEqual({});
    expect(settings).toEqual(defaultRepositorySettings);
  });

  test('of any size and depth is read in time', () => {
    expect(problemsOf(`${'a'.repeat(60_000)} = 1`)).toHaveLength(1);
    expect(problemsOf('[a]\n'.repeat(10_000)).length).toBeGreaterThan(0);
    expect(problemsOf(`branches = ${'['.repeat(20_000)}`)).toHaveLength(1);
    expect(problemsOf(Array.from({ length: 5_000 }, (_, index) => `k${index} = 1`).join('\n'))).toHaveLength(
      20,
    );
  });
});

test('what a proposal would change is said key by key, defaults included', () => {
  const before = parseSettingsFile('tags = ["v*"]').settings;
  const after = parseSettingsFile('statuses = "per-attribute"\n[pull_requests]\ndrafts = false').settings;
  expect(compareSettings(before, after)).toEqual([
    { key: 'tags', from: '["v*"]', to: '[]' },
    { key: 'statuses', from: undefined, to: '"per-attribute"' },
    { key: 'pull_requests.drafts', from: 'true', to: 'false' },
  ]);
  expect(reviewProposal(before, parseSettingsFile('tag = 1'))).toMatchObject({
    place: 'proposed',
    problems: [{ line: 1 }],
    changes: [],
  });
});

test('every setting says what it is for', () => {
  for (const { notes } of repositorySettingKeys) {
    expect(notes.about).toMatch(/\.$/);
    expect(notes.expects).not.toMatch(/\.$/);
  }
});
