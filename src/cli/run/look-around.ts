/**
 * What a run needs to know before it evaluates: the checkout, the settings, Nix and what there is to lock
 * evaluations in with. All of it is asked of other programs, so these are started first and beside each
 * other, and what reads the settings is loaded while they work.
 */
import { probeJail } from '../../evaluations/index.ts';
import { type FoundNix, findNix } from '../../nix/index.ts';
import type { CommandContext } from '../context.ts';
import { findCheckout, type LocalCheckout } from './checkout.ts';
import { nixHome } from './nix-home.ts';
import type { RunSettings } from './settings.ts';

export interface Surroundings extends FoundNix {
  readonly checkout: LocalCheckout;
  readonly settings: RunSettings;
  /** A folder for what this program keeps between runs. */
  readonly home: string;
  readonly jail: ReturnType<typeof probeJail>;
}

/** Looks at all of it. Of several failures, the first one's in this order is told. */
export async function lookAround(
  context: CommandContext,
  { path }: { readonly path: string },
): Promise<Surroundings> {
  const home = await nixHome(context.env);
  const nix = findNix(context.env, {
    home,
    sandbox: async () => (await settings).sandbox,
    signal: context.interruption.signal,
  });
  const checkout = findCheckout(context, path);
  const settings = import('./settings.ts').then(({ loadRunSettings }) => loadRunSettings(context));
  // Which nearly everybody wants.
  const locked = probeJail('auto', context.env.PATH ?? '/usr/bin:/bin');
  const jail = settings.then(({ evaluator }) => (evaluator.jail === 'off' ? probeJail('off', '') : locked));
  // What keeps the settings from being read is told once, below.
  for (const waiting of [locked, jail]) waiting.catch(() => {});
  await Promise.allSettled([checkout, settings, nix]);
  return { checkout: await checkout, settings: await settings, home, ...(await nix), jail };
}
