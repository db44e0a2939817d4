export { type LogSlice, type LogTail, readLog, tailLog } from './read.ts';
export { type LogWriter, logChannel, openLogWriter } from './writer.ts';
