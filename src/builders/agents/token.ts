/** Agents' tokens: shown once, kept as a hash. */
import { createHash, randomBytes } from 'node:crypto';

/** 256 random bits with a beginning that secret scanners can look for. */
export function newAgentToken(): string {
  return `rma_${randomBytes(32).toString('base64url')}`;
}

/** SHA-256 is enough for secrets that nobody chose. */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** The token in an `Authorization` header; cache clients send it as the password of Basic. */
export function tokenOfHeader(header: string | null | undefined): string | undefined {
  const bearer = /^Bearer\s+(\S+)$/i.exec(header ?? '')?.[1];
  if (bearer !== undefined) return bearer;
  const basic = /^Basic\s+([\w+/=]+)$/i.exec(header ?? '')?.[1];
  if (basic === undefined) return undefined;
  const [, password] = Buffer.from(basic, 'base64').toString('utf8').split(':', 2);
  return password || undefined;
}
