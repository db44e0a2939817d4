/**
 * Attribute paths as people and URLs write them. A path is a list of any strings; both spellings
 * here are unambiguous, and the one for URLs can be read back.
 */
import type { AttributePath } from './events.ts';

const plainName = /^[A-Za-z_][A-Za-z0-9_'-]*$/;

/** As Nix would write it: `a.b."c.d"`; the empty path is `(root)`. Control characters are escaped. */
export function formatAttributePath(path: AttributePath): string {
  if (path.length === 0) return '(root)';
  return path.map((name) => (plainName.test(name) ? name : JSON.stringify(name))).join('.');
}

/**
 * For one URL path segment: components joined by `.`, every byte outside `A-Za-z0-9_-` as `~XX`.
 * Not percent-encoding, since URL parsers treat `%2E%2E` as `..` and decode `%2F` at will.
 * An empty component is `~`; the empty path is `~~`.
 */
export function attributePathToUrl(path: AttributePath): string {
  if (path.length === 0) return '~~';
  return path.map(componentToUrl).join('.');
}

/** Reads {@link attributePathToUrl} back; undefined for anything it never writes. */
export function attributePathFromUrl(segment: string): AttributePath | undefined {
  if (segment === '~~') return [];
  const path: string[] = [];
  for (const part of segment.split('.')) {
    const name = componentFromUrl(part);
    if (name === undefined) return undefined;
    path.push(name);
  }
  return path;
}

function componentToUrl(name: string): string {
  if (name === '') return '~';
  return [...Buffer.from(name, 'utf8')]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[A-Za-z0-9_-]/.test(character)
        ? character
        : `~${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
}

function componentFromUrl(part: string): string | undefined {
  if (part === '~') return '';
  if (!/^(?:[A-Za-z0-9_-]|~[0-9A-F]{2})+$/.test(part)) return undefined;
  const bytes = part.replace(/~([0-9A-F]{2})|(.)/g, (_, hex: string | undefined, character: string) =>
    hex === undefined ? character.charCodeAt(0).toString(16).padStart(2, '0') : hex,
  );
  const name = Buffer.from(bytes, 'hex');
  const text = name.toString('utf8');
  // Only what the writer writes: invalid UTF-8 would not come back the same.
  return Buffer.from(text, 'utf8').equals(name) ? text : undefined;
}
