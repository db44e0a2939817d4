export * from './administration.ts';
export * from './agents/index.ts';
export { type BuilderFleet, createBuilderFleet } from './fleet.ts';
export {
  type BuilderHealth,
  createBuilderHealth,
  type Experience,
  type HealthOptions,
} from './health.ts';
export { createLocalBuilder, type LocalBuilderOptions } from './local-builder.ts';
export {
  type BuilderChange,
  type BuilderDescription,
  buildersChannel,
  changeBuilder,
  holdSshBuilders,
  letGoOfBuilders,
  listBuilders,
  type RegisteredBuilder,
  registerBuilder,
  registerOwnMachine,
  syncConfiguredBuilders,
} from './registry.ts';
export { createSshBuilder, type SshBuilderOptions } from './ssh-builder.ts';
export type * from './types.ts';
