/** Which failures mean "the database is away", as against "the statement is wrong". */

/** Socket errors (Node) and SQLSTATE codes after which the same statement may work again. */
const connectionCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOENT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  '28000', // no entry for this user or host: somebody is changing who may
  '28P01', // wrong password: it was changed, and this program is to be told
  '3D000', // no such database: it is being restored
  '53300', // too many connections
  '57P01', // terminated by an administrator (shutdown)
  '57P02', // crash of another backend
  '57P03', // starting up or shutting down
]);

/** Messages of pg, pg-pool and knex that carry no code. */
const connectionMessages =
  /Connection terminated|Connection ended|Client has encountered a connection error|timeout exceeded when trying to connect|Timeout acquiring a connection|Client was closed and is not queryable/;

/**
 * Whether an error says that the connection or the server went away. The transaction, if there was
 * one, is rolled back unless its COMMIT was under way, so work that is retried must be idempotent.
 */
export function isConnectionError(error: unknown): boolean {
  if (error instanceof AggregateError && error.errors.some(isConnectionError)) return true;
  if (!(error instanceof Error)) return false;
  if ('code' in error && typeof error.code === 'string') {
    // Class 08: connection exceptions.
    if (connectionCodes.has(error.code) || /^08...$/.test(error.code)) return true;
    if (isTlsError(error)) return true;
  }
  return connectionMessages.test(error.message) || isConnectionError(error.cause);
}

/** Whether the two sides could not agree on TLS: a certificate that ran out, or that is not believed. */
export function isTlsError(error: Error): boolean {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return (
    /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/.test(code) ||
    error.message === 'The server does not support SSL connections'
  );
}

/** SQLSTATE codes of what passes by itself although the server answers. */
const passingCodes = new Set([
  '25006', // read-only: a standby that is being promoted
  '40001', // serialization failure
  '40P01', // deadlock
  '53100', // disk full
  '53200', // out of memory
  '55P03', // lock timeout
  '57014', // statement timeout
  '58030', // I/O error
]);

/** Whether the same transaction may get through later, without anybody changing the program. */
export function isPassingError(error: unknown): boolean {
  if (isConnectionError(error)) return true;
  if (!(error instanceof Error)) return false;
  if ('code' in error && typeof error.code === 'string' && passingCodes.has(error.code)) return true;
  return isPassingError(error.cause);
}
