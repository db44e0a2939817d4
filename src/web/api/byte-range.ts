/** One range of bytes of an answer, after RFC 9110, section 14. */

export type ByteRange =
  | { readonly kind: 'whole' }
  /** `end` is the offset after its last byte. */
  | { readonly kind: 'part'; readonly from: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

const whole: ByteRange = { kind: 'whole' };

/**
 * Reads a `Range` header for a body of so many bytes. Several ranges at once, other units and what cannot be
 * read are answered with the whole, as the standard allows.
 */
export function readByteRange(header: string | undefined, bytes: number): ByteRange {
  const [, first = '', last = ''] = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return whole;
  if (first === '') {
    const wanted = Math.min(Number(last), bytes);
    return wanted === 0 ? { kind: 'unsatisfiable' } : { kind: 'part', from: bytes - wanted, end: bytes };
  }
  const from = Number(first);
  if (last !== '' && Number(last) < from) return whole;
  if (from >= bytes) return { kind: 'unsatisfiable' };
  return { kind: 'part', from, end: last === '' ? bytes : Math.min(Number(last) + 1, bytes) };
}
