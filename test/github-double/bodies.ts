/** Request bodies, read with a limit. */
import type { IncomingMessage } from 'node:http';
import { ApiError } from './api-error.ts';
import { asObject } from './json.ts';

/** An API request larger than this is refused. */
const bodyLimitBytes = 10 * 1024 * 1024;

/** The whole body as text, or a 413. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > bodyLimitBytes) throw new ApiError({ status: 413, message: 'Payload too large' });
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** JSON, `undefined` for an empty body, or a 400. */
export function parseJson(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError({ status: 400, message: 'Problems parsing JSON' });
  }
}

/** A form's fields. */
export const formFields = (text: string) => Object.fromEntries(new URLSearchParams(text));

/** A JSON object's members as text. */
export function jsonFields(text: string): Record<string, string> {
  const entries = Object.entries(asObject(parseJson(text)));
  return Object.fromEntries(entries.map(([key, value]) => [key, String(value)]));
}
