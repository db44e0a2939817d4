/** Why a database cannot be opened, in words for the one who wrote its address. Never with the password. */
import { messageOf, OperatorError } from '../basics/index.ts';
import { isTlsError } from './connection-errors.ts';

/** Server, port and database of a connection URL, without user and password. */
export function describeDatabase(url: string): string {
  if (hasStrayCharacters(url)) return 'the configured database';
  // A socket's URL has no host; URL wants one.
  const complete = url.replace(/^(postgres(?:ql)?:\/\/)(?:[^/@]*@)?\//, '$1localhost/');
  if (!URL.canParse(complete)) return 'the configured database';
  const parsed = new URL(complete);
  const host = parsed.searchParams.get('host') ?? parsed.host;
  return `${host}${parsed.pathname}`;
}

/** A part of the password may then be where a host or a path belongs. */
function hasStrayCharacters(url: string): boolean {
  return /^\w+:\/\/[^/?#]*[/?#].*@/.test(url);
}

/** Refuses addresses of which parts would be taken for others, before those are looked up or shown. */
export function checkDatabaseUrl(url: string): void {
  // Of a query, `@` may well be a part.
  const stray = /^\w+:\/\/[^/?#]*[/#][^?]*@/.test(url);
  if (!stray && URL.canParse(url.replace(/^(postgres(?:ql)?:\/\/)(?:[^/@]*@)?\//, '$1localhost/'))) return;
  throw new OperatorError({
    code: 'database-url-invalid',
    message: 'The address of the database (database.url, DATABASE_URL) cannot be read.',
    hint: `It is to be postgresql://USER:PASSWORD@HOST:PORT/DATABASE. ${encoding}`,
    exitStatus: 3,
  });
}

const encoding =
  'In the user and the password these are written with a per cent sign: @ as %40, / as %2F, : as %3A, # as %23, ? as %3F, % as %25.';

/** The error for a connection that did not come about. */
export function cannotOpen(url: string, cause: unknown): OperatorError {
  const where = `The database at ${describeDatabase(url)}`;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const reason = messageOf(cause);
  const details = (): { readonly code: string; readonly message: string; readonly hint: string } => {
    if (code === '28P01' || code === '28000' || reason.includes('client password must be')) {
      const given = reason.includes('client password must be') ? 'it wants a password' : reason;
      return {
        code: 'database-refused',
        message: `${where} does not let this program in: ${given}.`,
        hint: `Check the user and the password of database.url (DATABASE_URL), and pg_hba.conf. ${encoding}`,
      };
    }
    if (code === '3D000') {
      return {
        code: 'database-missing',
        message: `${where} is not there: ${reason}.`,
        hint: 'Make it as a superuser of that server: CREATE DATABASE name OWNER user.',
      };
    }
    if (cause instanceof Error && isTlsError(cause)) {
      return {
        code: 'database-tls',
        message: `${where} and this program do not agree on TLS: ${reason}`,
        hint: "In database.url, '?sslmode=verify-full&sslrootcert=FILE' names the certificate to trust; its name must be that of the host.",
      };
    }
    return {
      code: 'database-unreachable',
      message: `${where} does not answer: ${reason}`,
      hint: 'Check database.url (DATABASE_URL), and that the server runs and accepts connections from here.',
    };
  };
  return new OperatorError({ ...details(), exitStatus: 3, cause });
}
