/** The double as tests see it. */
import type { Browser } from './browser.ts';
import type { Changes } from './changes.ts';
import type { Faults } from './faults.ts';
import type { Gestures } from './gestures.ts';
import type { Journal } from './journal.ts';
import type { RateLimiter } from './limits.ts';
import type { PullRequests } from './pull-requests.ts';
import type { Pushes } from './pushes.ts';
import type { Recorded } from './recorded.ts';
import type { Delivery, Webhooks } from './webhooks.ts';
import type {
  CheckRun,
  Clock,
  CommitStatus,
  Installation,
  Permissions,
  Repository,
  Role,
  World,
} from './world.ts';
export interface DoubleOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** Where repositories and the key live; default: a temporary directory, removed at the end. */
  readonly dataDir?: string;
  /** Where events go; can be set later, the receiver may need the double's address first. */
  readonly webhookUrl?: string;
  readonly webhookSecret?: string;
  readonly clock?: Clock;
  readonly permissions?: Permissions;
  readonly events?: readonly string[];
  /** Also send `check_run` created and completed, as GitHub does. Default false. */
  readonly echoCheckRuns?: boolean;
}

export interface NewRepository {
  /** `owner/name`. */
  readonly name: string;
  readonly private?: boolean;
  readonly defaultBranch?: string;
  /** Whether the owner is a person (default) or an organization. */
  readonly organization?: boolean;
  /** `false`: the App does not reach it. */
  readonly installed?: boolean;
}

export interface GitHubDouble extends Pushes, Omit<PullRequests, 'branchMoved' | 'open' | 'fork'> {
  readonly url: string;
  /** The base of the REST API. */
  readonly apiUrl: string;
  readonly appId: number;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly privateKey: string;
  readonly privateKeyPath: string;
  readonly webhookSecret: string;
  readonly adminToken: string;
  /** The environment for the product, in Probot's words. */
  environment(): Record<string, string>;
  readonly world: World;
  readonly journal: Journal;
  readonly faults: Faults;
  readonly limiter: RateLimiter;
  readonly webhooks: Webhooks;
  readonly browser: Browser;
  readonly gestures: Gestures;
  readonly recorded: Recorded;
  createRepository(options: NewRepository): Promise<Repository>;
  openPullRequest: PullRequests['open'];
  createFork: PullRequests['fork'];
  installation(owner: string): Installation;
  setRole(repo: string, login: string, role: Role): void;
  /** Where `git clone` finds a repository, without credentials. */
  cloneUrl(repo: string): string;
  setWebhookUrl(url: string): void;
  deliver: Webhooks['deliver'];
  /** Sends a recorded payload as it is, except for our installation. */
  deliverRecorded(event: string, index: number): Promise<Delivery>;
  /** Check runs of a commit, oldest first, every one ever created. */
  checkRuns(sha: string): readonly CheckRun[];
  /** The newest check run of each name: what the page of the commit shows. */
  latestCheckRuns(sha: string): ReadonlyMap<string, CheckRun>;
  /** Statuses of a commit, oldest first. */
  statuses(sha: string): readonly CommitStatus[];
  /** The newest status of each context. */
  latestStatuses(sha: string): ReadonlyMap<string, CommitStatus>;
  callsTo: Journal['to'];
  waitFor: Changes['waitFor'];
  /** All installation tokens stop working, whatever the clock says. */
  expireTokens(): void;
  down(): Promise<void>;
  up(): Promise<void>;
  close(): Promise<void>;
}
