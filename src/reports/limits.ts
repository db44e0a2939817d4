/**
 * GitHub's limits on what a report may hold, and cutting that respects them.
 * GitHub documents characters for summary and text, but enforces UTF-8 bytes (github/docs#35252).
 */

export const limits = {
  /** UTF-8 bytes of a check's summary, and again of its text. */
  outputBytes: 65_535,
  /** Characters of a commit status' description. */
  statusDescription: 140,
  /** Annotations in one request; later requests append. */
  annotationsPerRequest: 50,
  /** Our own: five requests. A report with more says so and links to the page. */
  annotationsInAll: 250,
  /** Bytes of an annotation's message are 64 KiB; shorter ones can be read. */
  annotationMessageBytes: 8 * 1024,
  annotationTitle: 255,
  /** Our own, GitHub names none: what its pages show in one line. */
  title: 140,
  /** Our own, in UTF-8 bytes: below the 255 that databases and required-check settings take. */
  nameBytes: 200,
  /** Our own: attributes that have a check of their own. */
  ownChecks: 40,
  /** Our own: jobs of a phase that a report is made of. More rows never fit: the shortest is longer than 65 bytes. */
  jobsRead: 1_000,
  /** Our own: jobs that fail for one cause, from which on they are told together. */
  sharedCause: 3,
  /** Our own: causes that are read of errors, and again of builds; so many of all are shown. */
  causesShown: 5,
  /** Our own: of those that failed for one cause, so many stand before what failed for others. */
  ofOneCause: 10,
} as const;

export function utf8Length(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

/** The longest beginning of at most so many UTF-8 bytes, cut between code points. */
export function cutBytes(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= maxBytes) return text;
  let end = Math.max(0, maxBytes);
  // A byte 10xxxxxx continues a code point: step back to where that one begins.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/** At most so many characters (UTF-16 units, as GitHub counts at worst), with `…` where it was cut. */
export function cutText(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  let kept = '';
  for (const character of text) {
    if (kept.length + character.length > maxCharacters - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

/** At most so many bytes, with `…` (3 bytes) where it was cut. */
export function cutBytesVisibly(text: string, maxBytes: number): string {
  return utf8Length(text) <= maxBytes ? text : `${cutBytes(text, maxBytes - 3)}…`;
}
