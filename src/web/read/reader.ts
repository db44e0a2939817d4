import type { Knex } from 'knex';
import { z } from 'zod';

/** Read access to what visitors may see. Everything the pages and the API show comes through it. */
export interface Reader {
  readonly db: Knex;
  /** Without it private repositories answer exactly as if they did not exist. */
  readonly showPrivate: boolean;
}

type Bindings = Readonly<Record<string, string | number | boolean | readonly string[] | readonly number[]>>;

/**
 * Values as knex wants them. PostgreSQL refuses NUL in any text, and no text there has one: put
 * a character in its place that is not there either.
 */
function toKnex(bindings: Bindings): Knex.ValueDict {
  const clean = (text: string) => text.replaceAll('\u0000', '\ufffd');
  const values: Knex.ValueDict = {};
  for (const [name, value] of Object.entries(bindings)) {
    if (typeof value === 'string') values[name] = clean(value);
    else if (typeof value === 'object')
      values[name] = Array.from<string | number>(value).map((one) => clean(String(one)));
    else values[name] = value;
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
