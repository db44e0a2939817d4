/** NOTIFY channel that tells dispatchers of ready builds. */
export const buildsChannel = 'ringmaster_builds';

/** NOTIFY channel that tells who runs attempts to look for cancel requests among them. */
export const cancelChannel = 'ringmaster_cancel';
