/** The App as GitHub is asked to make it; the same as app.yml. */
import { neededEvents, neededPermissions } from '../inspect.ts';
import { webhooksPath } from '../webhooks.ts';

export interface ManifestFacts {
  /** Where GitHub and people reach this server, without a slash at its end. */
  readonly publicUrl: string;
  /** Where GitHub sends the browser back to. */
  readonly redirectUrl: string;
}

/**
 * GitHub's form of it:
 * https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
 */
export function appManifest({ publicUrl, redirectUrl }: ManifestFacts) {
  return {
    // Names are unique on GitHub; whoever makes the App may change it there.
    name: `Ringmaster ${new URL(publicUrl).hostname}`.slice(0, 34),
    description: 'Continuous integration for Nix repositories.',
    url: publicUrl,
    hook_attributes: { url: `${publicUrl}${webhooksPath}`, active: true },
    redirect_url: redirectUrl,
    public: false,
    default_permissions: neededPermissions,
    default_events: neededEvents,
  };
}
