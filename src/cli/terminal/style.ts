/**
 * How output looks on one stream: colours, and shapes that say the same without colour.
 *
 * Order of precedence: --no-color, NO_COLOR (any non-empty value), FORCE_COLOR (`0` means no),
 * then whether the stream is a terminal that is not dumb. See https://no-color.org.
 */
import { styleText } from 'node:util';

/** Roles of colours, as the pages use them. */
export type Tone = 'muted' | 'accent' | 'success' | 'danger' | 'attention' | 'strong' | 'plain';

export interface Style {
  readonly colour: boolean;
  readonly shapes: Readonly<Record<ShapeName, string>>;
  paint(tone: Tone, text: string): string;
}

export type ShapeName = 'good' | 'bad' | 'fallen' | 'working' | 'waiting' | 'stopped' | 'attention' | 'bar';

export interface StyleWishes {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isTerminal: boolean;
  /** False after --no-color. */
  readonly colour: boolean;
}

const unicodeShapes = {
  good: '✔',
  bad: '✘',
  fallen: '✗',
  working: '◐',
  waiting: '○',
  stopped: '⊘',
  attention: '!',
  bar: '│',
} as const;

const asciiShapes = {
  good: '+',
  bad: 'x',
  fallen: 'x',
  working: '*',
  waiting: 'o',
  stopped: '/',
  attention: '!',
  bar: '|',
} as const;

const formats = {
  muted: ['dim'],
  accent: ['cyan'],
  success: ['green'],
  danger: ['red'],
  attention: ['yellow'],
  strong: ['bold'],
} as const;

/** Decides on colours and shapes once for a stream. */
export function createStyle(wishes: StyleWishes): Style {
  const colour = wantsColour(wishes);
  return {
    colour,
    shapes: speaksUnicode(wishes.env) ? unicodeShapes : asciiShapes,
    paint: (tone, text) =>
      colour && tone !== 'plain' ? styleText([...formats[tone]], text, { validateStream: false }) : text,
  };
}

function wantsColour({ env, isTerminal, colour }: StyleWishes): boolean {
  if (!colour || (env.NO_COLOR ?? '') !== '') return false;
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  return isTerminal && env.TERM !== 'dumb';
}

/** Shapes outside ASCII are for locales that say UTF-8. */
function speaksUnicode(env: StyleWishes['env']): boolean {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || '';
  return /utf-?8/i.test(locale);
}
