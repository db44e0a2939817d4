export { type CheckoutRequest, type Checkouts, type CheckoutsOptions, createCheckouts } from './checkout.ts';
export {
  findInstallation,
  type Installation,
  markInstallationDeleted,
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
export type {
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
} from './types.ts';
