export { type CheckoutRequest, type Checkouts, type CheckoutsOptions, createCheckouts } from './checkout.ts';
export type { CommitFile, CommitFiles, FoundString } from './commit-files.ts';
export {
  findInstallation,
  type Installation,
  markInstallationDeleted,
  noteMayCommit,
  setInstallationSuspended,
  upsertInstallation,
} from './installations.ts';
export {
  findProject,
  findProjectByName,
  findProjectByRepository,
  listProjects,
  markRemoved,
  type ProjectFacts,
  setProjectEnabled,
  upsertProject,
} from './registry.ts';
export {
  compareSettings,
  mostSettingsBytes,
  type ParsedSettings,
  parseSettingsFile,
  reviewProposal,
  type SettingsChange,
  type SettingsProblem,
  type SettingsReview,
  settingsReview,
  unusableSettings,
} from './settings-parse.ts';
export {
  defaultRepositorySettings,
  type RepositorySetting,
  type RepositorySettings,
  repositorySettingKeys,
  settingsFilePath,
} from './settings-schema.ts';
export {
  type EvaluationWishes,
  evaluationWishesOf,
  findProjectSettings,
  type ProjectSettings,
  recordSettings,
  recordSettingsUnchanged,
} from './settings-store.ts';
export type {
  Absent,
  Checkout,
  CheckoutResult,
  Commit,
  CommitResult,
  GitAccess,
  GitCredentials,
  GitSource,
  NotHad,
  OpenGitAccess,
  Project,
  ReadAccess,
} from './types.ts';
