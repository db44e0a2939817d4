import type { Child, FC } from 'hono/jsx';
import type { AssetPaths } from '../assets.ts';
import { ShapeSymbols } from './parts.tsx';

/** What every page has around its content. */
export interface Frame {
  readonly assets: AssetPaths;
  /** Address of the stream that says when this page is out of date. */
  readonly events?: string;
  readonly query?: string;
  /** Where to look again, for a page that waits for something and has no stream. */
  readonly again?: string;
  readonly here?: 'projects' | 'queue' | 'builders';
}

interface Crumb {
  readonly label: string;
  readonly href: string;
}

export const Layout: FC<{ frame: Frame; title: string; children?: Child }> = ({ frame, title, children }) => (
  <html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      {frame.again === undefined ? null : (
        <noscript>
          <meta http-equiv="refresh" content={`5; url=${frame.again}`} />
        </noscript>
      )}
      <title>{`${title} · Ringmaster`}</title>
      <link rel="icon" type="image/svg+xml" href={frame.assets.icon} />
      <link rel="stylesheet" href={frame.assets.stylesheet} />
      <script type="module" src={frame.assets.script} />
    </head>
    <body data-events={frame.events} data-again={frame.again}>
      <ShapeSymbols />
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <div class="inner">
          <a class="brand" href="/">
            <img src={frame.assets.icon} width="22" height="22" alt="" />
            <span>Ringmaster</span>
          </a>
          <nav aria-label="Main">
            <NavLink href="/" here={frame.here === 'projects'} label="Projects" />
            <NavLink href="/queue" here={frame.here === 'queue'} label="Queue" />
            <NavLink href="/builders" here={frame.here === 'builders'} label="Builders" />
          </nav>
          <search class="search">
            <form action="/search">
              <input
                type="search"
                name="q"
                value={frame.query}
                placeholder="Search projects, commits, attributes"
                aria-label="Search projects, branches, pull requests, commits, attributes"
                maxlength={200}
                data-search
              />
            </form>
          </search>
        </div>
      </header>
      <main id="main">{children}</main>
      <footer>
        <span class="connection" data-connection aria-live="polite" />
        <a href="/api/v1/openapi.json">API</a>
        <a href="/version">Version</a>
        <span>Ringmaster, CI for Nix</span>
      </footer>
    </body>
  </html>
);

const NavLink: FC<{ href: string; here: boolean; label: string }> = ({ href, here, label }) => (
  <a href={href} aria-current={here ? 'page' : undefined}>
    {label}
  </a>
);

/** The way from the top to where the page is. */
export const Crumbs: FC<{ crumbs: readonly Crumb[] }> = ({ crumbs }) => (
  <nav class="crumbs" aria-label="Breadcrumb">
    {crumbs.map(({ label, href }, index) => (
      <>
        {index > 0 ? <span aria-hidden="true">/</span> : null}
        <a href={href}>{label}</a>
      </>
    ))}
  </nav>
);

/**
 * Control characters, and those that reorder or hide the text around them (CVE-2021-42574): titles,
 * branches and messages hold what their authors like, and nothing of a page has a use for them.
 */
const unseen =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A whole document. */
export async function renderPage(page: { toString(): string | Promise<string> }): Promise<string> {
  const html = await page.toString();
  return `<!doctype html>${html.replace(unseen, '\ufffd')}`;
}
