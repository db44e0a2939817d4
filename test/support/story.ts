/** What a story begins and ends with: a server, its data, and the GitHub it talks to. */
import { expect } from 'vitest';
import { createTestDatabase } from '../../src/postgres/test-database.ts';
import { type GitHubDouble, startGitHubDouble } from '../github-double/index.ts';
import { newDataDir, type Product, startProduct } from './product.ts';

export interface StoryOptions {
  /** The tests' server has a database for it. `built-in`: it starts one of its own, which takes seconds. */
  readonly database?: 'built-in';
  readonly env?: (double: GitHubDouble) => Readonly<Record<string, string>>;
}

export interface Story {
  readonly double: GitHubDouble;
  readonly dataDir: string;
  /** Starts the server, again if it was stopped or killed, with the same data. */
  start(): Promise<Product>;
  /** Ends all of it. Ends the server in order, and expects that nothing was a bug to it or unknown to GitHub. */
  endWell(): Promise<void>;
  /** Ends all of it, whatever happened to the server. */
  end(): Promise<void>;
}

export async function openStory(options: StoryOptions = {}): Promise<Story> {
  const [double, data, database] = await Promise.all([
    startGitHubDouble(),
    newDataDir(),
    options.database === 'built-in' ? undefined : createTestDatabase(),
  ]);
  let product: Product | undefined;
  const env = { ...options.env?.(double), ...(database && { DATABASE_URL: database.url }) };
  const end = async () => {
    await product?.stop();
    await double.close();
    await database?.drop();
    await data.remove();
  };
  return {
    double,
    dataDir: data.path,
    async start() {
      product = await startProduct({ double, dataDir: data.path, env });
      return product;
    },
    async endWell() {
      const status = await product?.stop();
      await end();
      expect(status).toBe(0);
      expect(double.journal.calls.filter((call) => call.unexpected || call.regression)).toEqual([]);
      expect(product?.log.filter((line) => /"level":(50|60)/.test(line))).toEqual([]);
    },
    end,
  };
}
