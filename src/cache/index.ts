/** The binary cache: serving the store to Nix, taking paths in, and using a cache elsewhere. */
export { type CacheClient, type CacheClientOptions, openCacheClient } from './client/client.ts';
export type { CacheHandler } from './http/handler.ts';
export {
  type Authorize,
  createAuthorize,
  createIsResult,
  createMayUpload,
  type Identity,
  type MayUpload,
} from './identity.ts';
export {
  type CacheKeyOptions,
  cacheKeyFile,
  defaultKeyName,
  findCacheKey,
  openCacheKey,
} from './key-file.ts';
export { type Cache, type CacheOptions, openCache } from './open-cache.ts';
export { createVerifier, parseSecretKey, type SigningKey, type Verifier } from './signing.ts';
