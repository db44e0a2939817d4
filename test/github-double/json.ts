import { z } from 'zod';

/** A JSON object whose members are looked at before use. */
export type JsonObject = Record<string, unknown>;

const objectSchema = z.record(z.string(), z.unknown());

/** The value as an object, or an empty one. */
export function asObject(value: unknown): JsonObject {
  const parsed = objectSchema.safeParse(value);
  return parsed.success ? parsed.data : {};
}

/** The object found by following `keys`. */
export function objectAt(value: unknown, ...keys: readonly string[]): JsonObject {
  return keys.reduce<JsonObject>((found, key) => asObject(found[key]), asObject(value));
}

/** GitHub's time format: seconds, no fraction. */
export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d{3}Z$/, 'Z');
}
