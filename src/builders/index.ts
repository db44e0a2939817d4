export { createLocalBuilder, type LocalBuilderOptions } from './local-builder.ts';
export type * from './types.ts';
