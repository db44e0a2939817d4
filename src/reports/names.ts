/**
 * Names of check runs and contexts of commit statuses. Branch protection asks for them by name, so
 * they never change. A check and a status never share one: GitHub would then require both.
 */
import { createHash } from 'node:crypto';
import type { AttributePath } from '../evaluations/index.ts';
import { formatAttributePath } from '../evaluations/index.ts';
import { cutBytes, limits, utf8Length } from './limits.ts';
import { visibleControls } from './markdown.ts';

/** The one check that always exists and always ends. */
export const gateName = 'ringmaster';
export const evaluationCheckName = 'ringmaster / evaluation';
/** The commit status that summarises the revision. */
export const summaryStatusName = 'ringmaster/ci';

const checkPrefix = 'ringmaster / ';
const statusPrefix = 'ringmaster/attribute/';
// Attributes of these names are written in quotes, which no other attribute's name can be.
const takenNames = ['evaluation'];

/** `ringmaster / checks.x86_64-linux.test`. Different paths have different names. */
export function attributeCheckName(path: AttributePath): string {
  return attributeName(checkPrefix, path);
}

/** Context of an attribute's own commit status, where the configuration asks for those. */
export function attributeStatusName(path: AttributePath): string {
  return attributeName(statusPrefix, path);
}

/** The attribute as people read it, with control characters visible. */
export function displayPath(path: AttributePath): string {
  return visibleControls(formatAttributePath(path));
}

/**
 * What is known of the paths from the names of their checks: joined by dots where the name says that, and
 * whether there are `others`, with quotes in it or cut.
 */
export function reportedPaths(names: readonly string[]): {
  readonly joined: readonly string[];
  readonly others: boolean;
} {
  const shown = names.flatMap((name) =>
    name.startsWith(checkPrefix) && name !== evaluationCheckName ? [name.slice(checkPrefix.length)] : [],
  );
  const joined = shown.filter((name) => /^[A-Za-z0-9_'.-]{1,150}$/.test(name));
  const quoted = takenNames.filter((name) => shown.includes(JSON.stringify(name)));
  return { joined: [...joined, ...quoted], others: joined.length + quoted.length < shown.length };
}

function attributeName(prefix: string, path: AttributePath): string {
  const shown = displayPath(path);
  const name = prefix + (takenNames.includes(shown) ? JSON.stringify(shown) : shown);
  if (utf8Length(name) <= limits.nameBytes) return name;
  // A digest of the whole path keeps names unique that begin alike.
  const digest = createHash('sha256').update(JSON.stringify(path)).digest('hex').slice(0, 10);
  const ending = `… ${digest}`;
  return cutBytes(name, limits.nameBytes - utf8Length(ending)) + ending;
}
