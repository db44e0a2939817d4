/** What settings are made of: their notes, and the kinds of values that come again and again. */
import { z } from 'zod';

export interface SettingNotes {
  /** What it is for: one or two sentences for the reference. */
  readonly about: string;
  /** Completes "It must be …". */
  readonly expects: string;
  /** Customary environment variables besides RINGMASTER_SECTION_KEY. */
  readonly env?: readonly string[];
  /** `whole`: never shown. `password`: a URL whose password is not shown. */
  readonly secret?: 'whole' | 'password';
  /** Words for a default that depends on the machine. */
  readonly defaultText?: string;
}

/** What is known of each setting; read by the loader and by the reference's generator. */
export const settingNotes = z.registry<SettingNotes>();

/** Blanks alone are no name and no word, and no system takes a NUL in one. */
export const text = z.string().refine((value) => value.trim() !== '' && !value.includes('\0'));
/** A new one each time: notes belong to one schema object. */
export const optionalText = () => text.optional();
export const wholeNumber = (from: number, to: number) => z.number().int().min(from).max(to);
/** A day per second of the longest month and more: larger values are mistakes of unit. */
export const longestSeconds = 100 * 24 * 3600;
