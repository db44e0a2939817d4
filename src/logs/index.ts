export { packLogs } from './pack.ts';
export { type LogPhase, readPhases } from './phases.ts';
export { type LogSlice, type LogTail, readLog, tailLog } from './read.ts';
export { type Redactor, type Secrets, secretsOf } from './redactor.ts';
export { type LogWriter, logChannel, openLogWriter } from './writer.ts';
