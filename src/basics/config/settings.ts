/** The settings of the schema as a flat list, and the names under which each can be given. */
import { z } from 'zod';
import { configSchema, type SettingNotes, settingNotes } from './schema.ts';

export interface Setting {
  /** As in the file: `server.public_url`. */
  readonly key: string;
  /** As in the schema: `['server', 'publicUrl']`. */
  readonly path: readonly string[];
  readonly schema: z.core.$ZodType;
  readonly notes: SettingNotes;
  /** Environment variables, strongest first. */
  readonly variables: readonly string[];
}

/** All settings, in the order of the schema. */
export const settings: readonly Setting[] = list(configSchema, []);

/** The default the schema gives, if it gives one. */
export function schemaDefault(setting: Setting): unknown {
  const outcome = z.safeParse(setting.schema, undefined);
  return outcome.success ? outcome.data : undefined;
}

function list(object: z.ZodObject, parents: readonly string[]): Setting[] {
  return Object.entries(object.shape).flatMap(([name, schema]) => {
    const path = [...parents, name];
    return schema instanceof z.ZodObject ? list(schema, path) : [describe(schema, path)];
  });
}

function describe(schema: z.core.$ZodType, path: readonly string[]): Setting {
  const notes = settingNotes.get(schema);
  const key = path.map(snakeCase).join('.');
  if (!notes) throw new Error(`the setting ${key} is not described`);
  const own = `RINGMASTER_${key.replaceAll('.', '_').toUpperCase()}`;
  return { key, path, schema, notes, variables: [...new Set([own, ...(notes.env ?? [])])] };
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
