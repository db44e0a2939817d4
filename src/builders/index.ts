export * from './agents/index.ts';
export { type BuilderChange, changeBuilder, removeBuilder } from './change.ts';
export {
  type HeldBuilder,
  holdSshBuilders,
  letGoOfBuilders,
  noteSeenBuilders,
  registerOwnMachine,
  syncConfiguredBuilders,
} from './driving.ts';
export { type BuilderFleet, createBuilderFleet } from './fleet.ts';
export {
  type BuilderHealth,
  createBuilderHealth,
  type Experience,
  type HealthOptions,
} from './health.ts';
export { createLocalBuilder, type LocalBuilderOptions } from './local-builder.ts';
export { type ConfiguredBuilder, describeConfigured, parseMachines } from './machines-file.ts';
export {
  addBuilder,
  type BuilderRegistration,
  findBuilder,
  renewBuilderToken,
} from './registration.ts';
export {
  type BuilderDescription,
  buildersChannel,
  listBuilders,
  type RegisteredBuilder,
  registerBuilder,
} from './registry.ts';
export { createSshBuilder, type SshBuilderOptions } from './ssh-builder.ts';
export type * from './types.ts';
