export interface Pattern {
  readonly regex: RegExp;
  readonly names: readonly string[];
}

/** `/a/:x` matches one segment, `/a/:x+` one or more (branch names have slashes). */
export function compilePattern(pattern: string): Pattern {
  const names: string[] = [];
  const source = pattern
    .split('/')
    .map((segment) => {
      if (!segment.startsWith(':')) return segment.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      const greedy = segment.endsWith('+');
      names.push(segment.slice(1, greedy ? -1 : undefined));
      return greedy ? '(.+)' : '([^/]+)';
    })
    .join('/');
  return { regex: new RegExp(`^${source}$`), names };
}
