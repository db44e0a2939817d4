/** What an evaluation changed against an earlier one, as it is kept and shown. */
import { z } from 'zod';

/** Why a derivation is another one than before: the nearest difference that is not a consequence. */
export const changeCause = z.discriminatedUnion('kind', [
  /** Another name, which holds the version. */
  z.object({ kind: z.literal('name'), from: z.string(), to: z.string() }),
  /** A source file or folder of the derivation `of`. */
  z.object({ kind: z.literal('source'), name: z.string(), of: z.string() }),
  /** A variable of its environment. */
  z.object({ kind: z.literal('variable'), name: z.string(), of: z.string() }),
  /** Its builder, the builder's arguments, its system or its outputs. */
  z.object({
    kind: z.literal('part'),
    name: z.enum(['builder', 'arguments', 'system', 'outputs']),
    of: z.string(),
  }),
  /** It needs another derivation, or one less. */
  z.object({ kind: z.enum(['input-added', 'input-removed']), name: z.string(), of: z.string() }),
]);
export type ChangeCause = z.infer<typeof changeCause>;

/**
 * added, removed: the attribute is in one evaluation only; rebuilt: its derivation is another one;
 * broken, repaired: it evaluates in one of them only.
 */
export const changeKinds = ['broken', 'removed', 'added', 'repaired', 'rebuilt'] as const;
export type ChangeKind = (typeof changeKinds)[number];

export const attributeChange = z.object({
  path: z.array(z.string()),
  kind: z.enum(changeKinds),
  cause: changeCause.exactOptional(),
});
export type AttributeChange = z.infer<typeof attributeChange>;

const count = z.number().int();
export const changeCounts = z.object({
  added: count,
  removed: count,
  rebuilt: count,
  broken: count,
  repaired: count,
  unchanged: count,
});
export type ChangeCounts = z.infer<typeof changeCounts>;

export interface EvaluationChanges {
  readonly baseSha: string;
  readonly baseBranch: string;
  readonly counts: ChangeCounts;
  /** As many as are kept; the counts are of all. */
  readonly attributes: readonly AttributeChange[];
}
