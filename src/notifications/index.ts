/** Telling others than GitHub how branches are: webhooks and chats. */
export { type AnnouncerOptions, announce, sendNotificationTask } from './announce.ts';
export { createNotificationSender, sendNotification } from './send.ts';
export type { Notification, NotificationEvent } from './types.ts';
