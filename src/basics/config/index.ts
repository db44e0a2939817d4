/** Configuration; a face of its own, since most of the program needs none of it. */
export { type ConfigValue, type LoadedConfig, loadConfig } from './load.ts';
export { nearest } from './nearest.ts';
export { type NotificationTarget, notificationEvents } from './notification-settings.ts';
export type { ConfigFlag, ConfigRequest } from './request.ts';
export { type Config, type ServerRole, serverRoles } from './schema.ts';
export { type Setting, schemaDefault, settings } from './settings.ts';
export { longestAgentLease } from './work-settings.ts';
