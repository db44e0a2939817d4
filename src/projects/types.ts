/** A repository under CI, as the database has it. */
export interface Project {
  readonly id: number;
  readonly githubRepositoryId: number;
  readonly installationId: number;
  readonly owner: string;
  readonly name: string;
  readonly defaultBranch: string;
  readonly private: boolean;
  /** False: at rest. Nothing of it is evaluated. */
  readonly enabled: boolean;
  /** Set where an operator put it to rest, and not that the App may not see it any more. */
  readonly pausedAt?: Date | undefined;
}

/** What git needs to read a repository. Never written to argv, a URL or a git configuration file. */
export interface GitCredentials {
  readonly username: string;
  readonly password: string;
}

/** What repositories besides its own a project may read, and with what. */
export interface ReadAccess {
  /** `owner/name` on the server of the project's own repository. */
  readonly repositories: readonly string[];
  readonly credentials: GitCredentials;
}

/** Where a commit is fetched from. */
export interface GitSource {
  /** URL without credentials. */
  readonly url: string;
  /** Undefined for repositories anybody can read without. */
  readonly credentials: GitCredentials | undefined;
}

/** The way to read one repository, opened only when something must be fetched. */
export type GitAccess =
  | {
      readonly kind: 'ready';
      readonly source: GitSource;
      /** Ends the access (revokes the credentials). Never rejects. */
      close(): Promise<void>;
    }
  | { readonly kind: 'later'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** Opens the way to a project's repository. Never rejects. */
export type OpenGitAccess = (project: Project) => Promise<GitAccess>;

/** A commit without its files. */
export interface Commit {
  /** Git's hash of its files: the same for every commit with the same ones. */
  readonly tree: string;
  /** Commit message's first line and author name, for pages and reports. */
  readonly title: string;
  readonly author: string;
}

/** What a checkout lacks of what a person's clone may have. */
export interface Absent {
  /** Folders of submodules, which are empty. */
  readonly submodules: readonly string[];
  /** Files of which only a pointer is there, because Git LFS keeps what they hold. */
  readonly pointers: readonly string[];
}

/** A checked-out commit on disk. */
export interface Checkout extends Commit {
  /** Absolute path; its last component is always `source`, so that `./.` has one name everywhere. */
  readonly path: string;
  readonly absent?: Absent;
  /** Removes it from disk. */
  release(): Promise<void>;
}

/** Why a commit or its files could not be had. `later` failures pass by themselves (network, disk). */
export type NotHad =
  | { readonly kind: 'later'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

export type CheckoutResult = { readonly kind: 'ready'; readonly checkout: Checkout } | NotHad;
export type CommitResult = { readonly kind: 'ready'; readonly commit: Commit } | NotHad;
