/** The forms in which people hand over a PEM private key. */
import { z } from 'zod';

/** PEM text from PEM text, from PEM with `\n` written out, or from all of it in base64. */
export function readPrivateKey(given: string, context: z.core.$RefinementCtx<string>): string {
  const plain = given.replaceAll('\\n', '\n').trim();
  const pem = plain.startsWith('-----BEGIN') ? plain : Buffer.from(plain, 'base64').toString('utf8').trim();
  if (/^-----BEGIN [A-Z ]*PRIVATE KEY-----\s[\s\S]*-----END [A-Z ]*PRIVATE KEY-----$/.test(pem)) {
    return `${pem}\n`;
  }
  // The value itself never gets into a message.
  context.addIssue({ code: 'custom', message: 'not a private key', input: undefined });
  return z.NEVER;
}
