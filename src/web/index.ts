/** The dashboard, the REST API and the live streams. */
export { openApiDocument } from './api/openapi.ts';
export type { ChannelHandler, HealthCheck, SetupNotice, Subscribe, WebServerOptions } from './options.ts';
export { buildWebServer } from './web-server.ts';
