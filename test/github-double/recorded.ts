/** Webhook payloads recorded from GitHub: the skeleton into which the double writes its own facts. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { z } from 'zod';
import { asObject, type JsonObject } from './json.ts';
import { apiPrefix } from './render.ts';

const fileSchema = z.array(
  z.object({ name: z.string(), examples: z.array(z.record(z.string(), z.unknown())) }),
);

export interface Recorded {
  /** The recorded payload of this event and index, untouched. */
  example(event: string, index: number): JsonObject;
  /** A payload of `event` whose recorded fields are overridden, deeply, by `facts`. */
  payload(event: string, action: string | undefined, facts: JsonObject): JsonObject;
}

/** Reads the recordings (4 MB) at the first use. */
export function createRecorded(url: () => string): Recorded {
  let loaded: z.infer<typeof fileSchema> | undefined;
  const examplesOf = (event: string): readonly JsonObject[] => {
    const file = createRequire(import.meta.url).resolve('@octokit/webhooks-examples');
    loaded ??= fileSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    return loaded.find(({ name }) => name === event)?.examples ?? [];
  };
  return {
    example: (event, index) => {
      const found = examplesOf(event)[index];
      if (!found) throw new Error(`No recorded example ${index} of the event '${event}'.`);
      return structuredClone(found);
    },
    payload: (event, action, facts) => {
      const examples = examplesOf(event);
      const found = examples.find((example) => action === undefined || example.action === action);
      // Addresses that nobody overrides must still lead to the double, never to github.com.
      const here = JSON.stringify(found ?? {})
        .replaceAll('https://api.github.com', `${url()}${apiPrefix}`)
        .replaceAll('https://github.com', url());
      const recorded = asObject(JSON.parse(here));
      delete recorded.organization;
      return asObject(overlay(recorded, { ...facts, ...(action === undefined ? {} : { action }) }));
    },
  };
}

function overlay(under: unknown, over: unknown): unknown {
  if (!isPlain(under) || !isPlain(over)) return over;
  const result: JsonObject = { ...asObject(under) };
  for (const [key, value] of Object.entries(over)) {
    result[key] = overlay(result[key], value);
  }
  return result;
}

const isPlain = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
