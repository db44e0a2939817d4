import type { SetupPages } from '../../src/web/index.ts';

/** A set-up whose token says how far it is; `hear`: GitHub's first message comes. */
export function fakeSetup(): { readonly setup: SetupPages; hear(): void } {
  let heard = false;
  const created = { name: 'Ringmaster', installUrl: 'https://github.com/apps/ringmaster' };
  return {
    hear: () => {
      heard = true;
    },
    setup: {
      admits: () => true,
      begin: ({ publicUrl }) =>
        publicUrl.startsWith('https:')
          ? { action: 'https://github.com/settings/apps/new', manifest: '{}' }
          : { problem: `'${publicUrl}' is not an https address.` },
      finish: async () => ({ problem: 'GitHub does not know this code.' }),
      created: (token) =>
        token === 'begin' ? undefined : { ...created, token, arrived: heard || token === 'arrived' },
    },
  };
}
