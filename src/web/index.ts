/** The dashboard, the REST API and the live streams. */
export { openApiDocument } from './api/openapi.ts';
export type {
  ChannelHandler,
  CreatedApp,
  HealthCheck,
  SetupNotice,
  SetupPages,
  Subscribe,
  WebServerOptions,
} from './options.ts';
export {
  type ApiToken,
  createToken,
  listTokens,
  revokeToken,
  type TokenScope,
  tokenScopes,
} from './tokens.ts';
export { buildWebServer } from './web-server.ts';
