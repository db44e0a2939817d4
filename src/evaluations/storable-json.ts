/**
 * JSON that PostgreSQL's jsonb takes: it holds no NUL and no half of a surrogate pair. Names from derivations
 * may have them, and texts that were cut.
 */
export function storableJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'string' ? part.replaceAll('\0', '\u{fffd}').replaceAll(/\p{Cs}/gu, '\u{fffd}') : part,
  );
}
