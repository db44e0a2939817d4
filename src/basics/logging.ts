import { type Logger as PinoLogger, pino } from 'pino';

export type Logger = PinoLogger;

export interface LoggingOptions {
  readonly level: string;
  /** Gets JSON lines; stdout by default. */
  readonly destination?: NodeJS.WritableStream;
}

/**
 * Paths of values that never reach a log, whatever object carries them.
 * pino redacts by path, so the usual places are listed at the depths at which they occur.
 */
const redactedPaths = [
  'token',
  'privateKey',
  'secret',
  'webhookSecret',
  'password',
  'authorization',
  'headers.authorization',
  'req.headers.authorization',
  'req.headers.cookie',
  'request.headers.authorization',
  'err.request.headers.authorization',
  'databaseUrl',
];

/** The program's logger: JSON lines, written synchronously so that a crash loses none of them. */
export function createLogger(options: LoggingOptions): Logger {
  const settings = {
    level: options.level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: redactedPaths, censor: '[redacted]' },
  };
  return options.destination
    ? pino(settings, options.destination)
    : pino(settings, pino.destination({ dest: 1, sync: true }));
}

/** A logger that says nothing, for tests and one-shot commands. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}
