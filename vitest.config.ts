import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Stories first: they last longest, and at the end of a run one worker would wait for the other. */
class StoriesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isStory = ({ moduleId }: TestSpecification) => !moduleId.includes('/src/');
    return [...sorted.filter(isStory), ...sorted.filter((file) => !isStory(file))];
  }
}

export default defineConfig({
  // The pages are written in hono's JSX, as in tsconfig.json.
  oxc: { jsx: { runtime: 'automatic', importSource: 'hono/jsx' } },
  test: {
    include: ['src/**/*.test.{ts,tsx}', 'test/**/*.test.ts'],
    // Real Nix, PostgreSQL and git: slow parts are slow because they are real.
    globalSetup: ['test/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    // Modules hold no state, so that files can share those that are loaded: loading them costs each a second.
    isolate: false,
    // Of two processors: a good part of what stories do is waiting.
    maxWorkers: 3,
    // A busy machine may take its time for what a test waits for: as long as the test itself.
    expect: { poll: { timeout: 50_000 } },
    sequence: { sequencer: StoriesFirst },
  },
});
