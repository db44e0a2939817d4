import type { FastifyPluginAsync } from 'fastify';
import type { Knex } from 'knex';
import type { Registry } from 'prom-client';
import type { Logger } from '../basics/index.ts';
import type { CacheHandler } from '../cache/index.ts';
import type { OnRevisionChanged } from '../evaluations/index.ts';

/** What a listener on a NOTIFY channel gets. */
export interface ChannelHandler {
  onNotification(payload: string): void;
  /** After a gap in the connection: notifications may have been lost. */
  onReconnect(): void;
}

/** Listens on one NOTIFY channel; resolves to a function that stops it. */
export type Subscribe = (channel: string, handler: ChannelHandler) => Promise<() => void>;

/** One thing that must work before this server is sent traffic. */
export interface HealthCheck {
  readonly name: string;
  /** Rejects, with words for an operator, while it does not. */
  check(): Promise<void>;
}

/** Something this server lacks to be useful, for the banner on the home page. */
export interface SetupNotice {
  readonly title: string;
  /** What to do about it, as full sentences. */
  readonly hint: string;
}

/** An App that was set up here a moment ago. */
export interface CreatedApp {
  readonly token: string;
  readonly name: string;
  /** Where it is installed from. */
  readonly installUrl: string;
  /** Whether a message of GitHub has come since. */
  readonly arrived: boolean;
}

/** Setting up the GitHub App in the browser. Problems are sentences for the person there. */
export interface SetupPages {
  /** Whether somebody who brings this token may set up the App. */
  admits(token: string): boolean;
  begin(wishes: {
    readonly publicUrl: string;
    readonly organization: string;
  }): { readonly action: string; readonly manifest: string } | { readonly problem: string };
  finish(answer: {
    readonly code: string;
    readonly state: string;
  }): Promise<CreatedApp | { readonly problem: string }>;
  /** The App that was set up with this token, for a while after that. */
  created(token: string): CreatedApp | undefined;
}

export interface WebServerOptions {
  readonly db: Knex;
  readonly log: Logger;
  /** Base of every absolute link, without a slash at its end. */
  publicUrl(): string;
  /** Where repositories live, for links: `https://github.com`. */
  githubUrl(): string;
  /** There is no sign-in yet, so private repositories are shown to everybody or to nobody. */
  readonly privateProjects: 'hidden' | 'visible';
  /** Called in the transaction in which something about a revision changed that people can see. */
  readonly onRevisionChanged: OnRevisionChanged;
  readonly subscribe: Subscribe;
  readonly health: {
    readonly checks: readonly HealthCheck[];
    /** True from the moment the process was asked to end. */
    draining(): boolean;
  };
  readonly metrics: Registry;
  readonly version: { readonly version: string; readonly commit?: string };
  /** What is missing on this server, read each time the home page is shown. */
  setupNotices(): readonly SetupNotice[];
  /** Absent, there is nothing to set up. */
  readonly setup?: SetupPages;
  /** The binary cache below /cache. */
  readonly cache?: CacheHandler;
  /** Webhooks and whatever else the GitHub App serves. */
  readonly githubPlugin?: FastifyPluginAsync;
}
