/**
 * What an evaluation has to build is kept from the garbage collector before anybody hears of its end:
 * the roots of single results (`gc-roots.ts`) come up to a minute later, and the server may be killed
 * before. All of it hangs on one root, however much it is: a text in the store that refers to the
 * derivations. The update that gives them roots of their own removes it.
 */
import { mkdir, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describeText, type NixStore, type TextWriter } from '../nix/index.ts';

export interface HoldOptions {
  /** Where the roots of single results are. */
  readonly folder: string;
  readonly store: Pick<NixStore, 'addIndirectRoot'>;
  readonly storeDir: string;
  readonly texts: Pick<TextWriter, 'addTexts'>;
}

const name = 'ringmaster-to-build';
const content = 'While this is here, so is what an evaluation has to build, to which it refers.';

/** Keeps derivations that are valid, with all they refer to, until the next update of the roots at least. */
export async function holdDerivations(options: HoldOptions, drvPaths: readonly string[]): Promise<void> {
  if (drvPaths.length === 0) return;
  const { folder, store, storeDir, texts } = options;
  const references = [...new Set(drvPaths)].sort();
  // One's own, even if others hold the same: theirs may be let go at this moment.
  const text = Buffer.from(`${content}\n${crypto.randomUUID()}\n`);
  const { path } = describeText(storeDir, name, text, references);
  await texts.addTexts([{ path, content: text, references }]);
  await mkdir(folder, { recursive: true });
  const link = join(folder, basename(path));
  await symlink(path, link);
  await store.addIndirectRoot(link);
}
