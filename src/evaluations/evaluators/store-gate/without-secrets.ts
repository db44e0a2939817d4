/** Content that is on its way to the store, which everybody can read. */

/** Passes chunks on as they come; throws before the end of one of `secrets`, in any of them, is passed on. */
export async function* withoutSecrets(
  content: AsyncIterable<Buffer>,
  secrets: readonly Buffer[],
  name: string,
): AsyncGenerator<Buffer> {
  // A secret may begin in one chunk and end in a later one.
  const kept = Math.max(...secrets.map(({ length }) => length)) - 1;
  let before = Buffer.alloc(0);
  for await (const chunk of content) {
    const seen = Buffer.concat([before, chunk]);
    if (secrets.some((secret) => seen.includes(secret))) {
      throw new Error(
        `'${name}' holds a secret that this server fetches with; code that is evaluated cannot have it`,
      );
    }
    before = seen.subarray(Math.max(0, seen.length - kept));
    yield chunk;
  }
}
