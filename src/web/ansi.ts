/**
 * Log bytes to HTML. Builders print anything: colours become classes, every other control sequence
 * is dropped, text is escaped, invalid UTF-8 is replaced, and a progress bar that redraws its line
 * with carriage returns shows as it looked last. Lines are lines here, never a terminal.
 */

/** What SGR sequences have set so far. Colours are 0 to 255, or undefined for the page's own. */
interface Style {
  readonly foreground: number | undefined;
  readonly background: number | undefined;
  readonly bold: boolean;
  readonly dim: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
  readonly strike: boolean;
  readonly inverse: boolean;
}

const plain: Style = {
  foreground: undefined,
  background: undefined,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  strike: false,
  inverse: false,
};

/** Characters of one line that a page shows; the raw log has the rest. */
export const shownCharacters = 8_000;

// Operating system commands (titles, links) up to BEL or ST; other strings up to ST; CSI; two-byte escapes.
const sequence =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  /\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\|$)|\u001b[PX^_][^\u001b]*(?:\u001b\\|$)|(?:\u001b\[|\u009b)([0-?]*)[ -/]*([@-~]|$)|\u001b[ -/]*[0-~]?/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: see above.
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
/** Characters that reorder or hide text around them (CVE-2021-42574). */
const bidirectional = /[\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]/g;

/** Renders one log, line by line; colours go on from one line to the next as on a terminal. */
export interface AnsiRenderer {
  /** One line without its newline, as HTML without a wrapper. */
  line(bytes: Buffer): string;
}

/** A renderer that starts with no colours set. */
export function createAnsiRenderer(): AnsiRenderer {
  let style = plain;
  return {
    line(bytes) {
      let html = '';
      let left = shownCharacters;
      const put = (text: string) => {
        const clean = text.replace(controls, '').replace(bidirectional, '\ufffd');
        if (clean === '' || left <= 0) return;
        html += span(clean.slice(0, left), style);
        left -= clean.length;
      };
      const text = lastDrawing(bytes.toString('utf8'));
      let from = 0;
      for (const match of text.matchAll(sequence)) {
        put(text.slice(from, match.index));
        from = match.index + match[0].length;
        if (match[2] === 'm') style = applySgr(style, match[1] ?? '');
      }
      put(text.slice(from));
      return left < 0 ? `${html}<span class="cut"> … line cut here; the raw log has all of it</span>` : html;
    },
  };
}

/** Splits a stretch of log into lines and renders each. */
export function renderLines(bytes: Buffer, renderer: AnsiRenderer): string[] {
  return splitLines(bytes).map((line) => renderer.line(line));
}

/** Lines without their newlines; the last is kept although nothing ends it yet. */
export function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let from = 0;
  for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, from)) {
    lines.push(bytes.subarray(from, end));
    from = end + 1;
  }
  if (from < bytes.length) lines.push(bytes.subarray(from));
  return lines;
}

/** A line without its colours and control characters. */
export function plainText(bytes: Buffer): string {
  return lastDrawing(bytes.toString('utf8')).replace(sequence, '').replace(controls, '');
}

/**
 * Keeps what stands after the last carriage return. Sequences from before it are kept without
 * their text, so that a colour set by an earlier drawing still counts.
 */
function lastDrawing(text: string): string {
  const whole = text.replace(/\r+$/, '');
  const at = whole.lastIndexOf('\r');
  if (at === -1) return whole;
  const before = [...whole.slice(0, at).matchAll(sequence)].map((match) =>
    match[2] === 'm' ? match[0] : '',
  );
  return before.join('') + whole.slice(at + 1);
}

function applySgr(style: Style, parameters: string): Style {
  // Colons separate the parts of one colour in newer terminals: 38:5:196, 38:2::255:0:0.
  const codes = parameters.replace(/::/g, ':').split(/[;:]/).map(Number);
  let next = style;
  for (let index = 0; index < codes.length; index += 1) {
    const code = codes[index] ?? 0;
    if (code === 38 || code === 48) {
      const [color, used] = extendedColor(codes, index + 1);
      index += used;
      next = code === 38 ? { ...next, foreground: color } : { ...next, background: color };
    } else {
      next = applyCode(next, code);
    }
  }
  return next;
}

/** Colours of the 256 palette by number; 24-bit ones by their nearest in the palette. */
function extendedColor(codes: readonly number[], at: number): [number | undefined, number] {
  if (codes[at] === 5) return [inByte(codes[at + 1]), 2];
  if (codes[at] !== 2) return [undefined, 1];
  const level = (value: number | undefined) => Math.round(((inByte(value) ?? 0) / 255) * 5);
  return [16 + 36 * level(codes[at + 1]) + 6 * level(codes[at + 2]) + level(codes[at + 3]), 4];
}

function inByte(value: number | undefined): number | undefined {
  return value !== undefined && Number.isInteger(value) && value >= 0 && value <= 255 ? value : undefined;
}

function applyCode(style: Style, code: number): Style {
  if (code >= 30 && code <= 37) return { ...style, foreground: code - 30 };
  if (code >= 40 && code <= 47) return { ...style, background: code - 40 };
  if (code >= 90 && code <= 97) return { ...style, foreground: code - 82 };
  if (code >= 100 && code <= 107) return { ...style, background: code - 92 };
  return codeStyles.get(code)?.(style) ?? style;
}

const codeStyles = new Map<number, (style: Style) => Style>([
  [0, () => plain],
  [1, (style) => ({ ...style, bold: true })],
  [2, (style) => ({ ...style, dim: true })],
  [3, (style) => ({ ...style, italic: true })],
  [4, (style) => ({ ...style, underline: true })],
  [7, (style) => ({ ...style, inverse: true })],
  [9, (style) => ({ ...style, strike: true })],
  [22, (style) => ({ ...style, bold: false, dim: false })],
  [23, (style) => ({ ...style, italic: false })],
  [24, (style) => ({ ...style, underline: false })],
  [27, (style) => ({ ...style, inverse: false })],
  [29, (style) => ({ ...style, strike: false })],
  [39, (style) => ({ ...style, foreground: undefined })],
  [49, (style) => ({ ...style, background: undefined })],
]);

function span(text: string, style: Style): string {
  const classes = classesOf(style);
  return classes === '' ? escapeHtml(text) : `<span class="${classes}">${escapeHtml(text)}</span>`;
}

function classesOf(style: Style): string {
  const names: string[] = [];
  if (style.foreground !== undefined) names.push(`f${paletteClass(style.foreground)}`);
  if (style.background !== undefined) names.push(`b${paletteClass(style.background)}`);
  if (style.bold) names.push('sb');
  if (style.dim) names.push('sd');
  if (style.italic) names.push('si');
  if (style.underline) names.push('su');
  if (style.strike) names.push('ss');
  if (style.inverse) names.push('sv');
  return names.join(' ');
}

/**
 * The palette's 240 upper colours are mapped to the 16 lower ones, which have a readable shade in
 * both the light and the dark page.
 */
function paletteClass(color: number): number {
  if (color < 16) return color;
  if (color >= 232) return color < 244 ? 8 : 7;
  const cube = color - 16;
  const [red, green, blue] = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6];
  const strongest = Math.max(red, green, blue);
  if (strongest === 0) return 0;
  const on = (part: number) => (part * 2 > strongest ? 1 : 0);
  return on(red) + 2 * on(green) + 4 * on(blue) + (strongest >= 4 ? 8 : 0);
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text that is safe between tags and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}
