export * from './agents/index.ts';
export { type BuilderFleet, createBuilderFleet } from './fleet.ts';
export { createLocalBuilder, type LocalBuilderOptions } from './local-builder.ts';
export type * from './types.ts';
