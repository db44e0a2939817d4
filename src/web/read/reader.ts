import type { Knex } from 'knex';
import { z } from 'zod';

/** Read access to what visitors may see. Everything the pages and the API show comes through it. */
export interface Reader {
  readonly db: Knex;
  /** Without it private repositories answer exactly as if they did not exist. */
  readonly showPrivate: boolean;
}

type Bindings = Readonly<Record<string, string | number | boolean | readonly string[] | readonly number[]>>;

/** knex wants arrays it could write to. */
function toKnex(bindings: Bindings): Knex.ValueDict {
  const values: Knex.ValueDict = {};
  for (const [name, value] of Object.entries(bindings)) {
    values[name] = typeof value === 'object' ? Array.from<string | number>(value).map(String) : value;
  }
  return values;
}

/** Runs one statement and parses its rows. `:showPrivate` is always bound. */
export async function readRows<S extends z.ZodType>(
  reader: Reader,
  row: S,
  sql: string,
  bindings: Bindings = {},
): Promise<z.infer<S>[]> {
  const result = await reader.db.raw<{ rows: unknown }>(
    sql,
    toKnex({ showPrivate: reader.showPrivate, ...bindings }),
  );
  return z.array(row).parse(result.rows);
}

/** Like {@link readRows} for statements that give one row or none. */
export async function readRow<S extends z.ZodType>(
  reader: Reader,
  row: S,
  sql: string,
  bindings: Bindings = {},
): Promise<z.infer<S> | undefined> {
  return (await readRows(reader, row, sql, bindings))[0];
}
