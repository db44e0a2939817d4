export { isConnectionError, isPassingError } from './connection-errors.ts';
export {
  type DataDirectoryLock,
  dataDirectoryHolder,
  lockDataDirectory,
} from './data-directory-lock.ts';
export {
  type Database,
  type DatabaseOptions,
  type Knex,
  openDatabase,
} from './database.ts';
export { findBinaries } from './embedded/binaries.ts';
export {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  findEmbeddedPostgres,
  startEmbeddedPostgres,
} from './embedded/index.ts';
export { createFlush } from './flush.ts';
export { createListener, type Listener, notify, type Subscriber, type Unsubscribe } from './listen.ts';
export { type MigrateOptions, migrate } from './migrate.ts';
export { type MigrationStatus, migrationStatus } from './migration-files.ts';
export { describeDatabase } from './opening-errors.ts';
export {
  deadAfterSeconds,
  findDeadProcesses,
  listProcesses,
  newTaskWorkerId,
  type Registration,
  type RegistrationOptions,
  reapDeadProcesses,
  registerProcess,
  type ServerProcess,
} from './processes.ts';
export {
  addTask,
  addTaskSql,
  countTasks,
  releaseTasksOf,
  removeTask,
  type TaskOptions,
  taskBindings,
} from './task-queue.ts';
export {
  startTaskRunner,
  type TaskContext,
  type TaskHandler,
  type TaskRunner,
  type TaskRunnerOptions,
} from './tasks.ts';
export { untilDatabaseAnswers } from './until-database-answers.ts';
