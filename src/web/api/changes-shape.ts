/** What an evaluation changed, as the API tells of it. */
import { z } from 'zod';
import { changeKinds, type EvaluationChanges } from '../../evaluations/index.ts';

const count = z.number().int();

export const changeSchema = z
  .object({
    path: z.array(z.string()),
    kind: z
      .enum(changeKinds)
      .describe('rebuilt: another derivation; broken, repaired: it evaluates in one of the two only'),
    cause: z
      .object({
        kind: z.enum(['name', 'source', 'variable', 'part', 'input-added', 'input-removed']),
        name: z.string().nullable().describe('What differs: a source, variable, part or input'),
        of: z.string().nullable().describe('The derivation where it does'),
        from: z.string().nullable().describe('Of a name: what it was'),
        to: z.string().nullable(),
      })
      .nullable()
      .describe('The nearest difference that is not a consequence of another; null: not known'),
  })
  .meta({ id: 'Change' });

export const changesBaseSchema = z.object({
  base: z
    .object({ sha: z.string(), branch: z.string() })
    .nullable()
    .describe('What it is compared with; null: there is nothing, or the comparison is not made yet'),
  counts: z
    .object({
      added: count,
      removed: count,
      rebuilt: count,
      broken: count,
      repaired: count,
      unchanged: count,
    })
    .nullable(),
  unkept: count.describe('Changes that are counted, but not kept one by one'),
});

export function changeShape({
  path,
  kind,
  cause,
}: EvaluationChanges['attributes'][number]): z.infer<typeof changeSchema> {
  if (!cause) return { path: [...path], kind, cause: null };
  const nothing = { name: null, of: null, from: null, to: null };
  return { path: [...path], kind, cause: { ...nothing, ...cause } };
}
