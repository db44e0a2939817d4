import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAnsiRenderer, plainText, shownCharacters, splitLines } from './ansi.ts';
import { renderLog } from './log-lines.ts';

const render = (text: string | Buffer) => createAnsiRenderer().line(Buffer.from(text));

describe('a log line as HTML', () => {
  it.each([
    ['plain text stays', 'hello', 'hello'],
    [
      'markup is text',
      '<img src=x onerror=alert(1)> & "x"',
      '&lt;img src=x onerror=alert(1)&gt; &amp; &quot;x&quot;',
    ],
    ['colours become classes', '\u001b[31mred\u001b[0m plain', '<span class="f1">red</span> plain'],
    ['bright and bold', '\u001b[1;92mok\u001b[m', '<span class="f10 sb">ok</span>'],
    ['256 colours map to readable ones', '\u001b[38;5;196mx', '<span class="f9">x</span>'],
    ['24-bit colours too', '\u001b[38;2;0;0;255mx', '<span class="f12">x</span>'],
    ['colons as separators', '\u001b[38:2::255:0:0mx', '<span class="f9">x</span>'],
    ['a colour with parts missing is the page’s own', '\u001b[38;5mx', 'x'],
    ['background', '\u001b[44mx\u001b[49my', '<span class="b4">x</span>y'],
    ['cursor movement is dropped', '\u001b[2K\u001b[1Gdone\u001b[?25h', 'done'],
    ['a window title is dropped', '\u001b]0;evil\u0007text', 'text'],
    ['a link keeps its text only', '\u001b]8;;javascript:alert(1)\u001b\\label\u001b]8;;\u001b\\', 'label'],
    ['an unfinished sequence is dropped', 'text\u001b[31', 'text'],
    ['an unfinished title is dropped', 'text\u001b]0;evil', 'text'],
    ['a lone escape is dropped', 'a\u001b', 'a'],
    ['C1 controls are dropped', 'a\u0085\u009b31mb', 'a<span class="f1">b</span>'],
    ['NUL and bells are dropped', 'a\u0000\u0007b', 'ab'],
    ['text that turns other text around shows as what it is', 'a\u202eb', 'a\ufffdb'],
    ['a progress bar shows its last state', ' 10%\r 55%\r100%', '100%'],
    ['a Windows line end is no progress bar', 'text\r', 'text'],
    ['a colour set before a redraw still counts', '\u001b[32m10%\r99%', '<span class="f2">99%</span>'],
  ])('%s', (_name, text, html) => {
    expect(render(text)).toBe(html);
  });

  it('shows bytes that are not UTF-8 as replacement characters', () => {
    expect(render(Buffer.from([0x61, 0xff, 0xfe, 0x62]))).toBe('a\ufffd\ufffdb');
  });

  it('keeps a colour from one line to the next, as a terminal does', () => {
    const renderer = createAnsiRenderer();
    renderer.line(Buffer.from('\u001b[33mwarning:'));
    expect(renderer.line(Buffer.from('more'))).toBe('<span class="f3">more</span>');
  });

  it('cuts a line that is too long for a page and says so', () => {
    const html = render('x'.repeat(1_000_000));
    expect(html.length).toBeLessThan(shownCharacters + 200);
    expect(html).toContain('line cut here');
  });

  it('makes nothing but its own spans, whatever a builder prints', () => {
    const hostile = fc.string({
      unit: fc.constantFrom(
        '\u001b',
        '[',
        ']',
        '0',
        '3',
        '8',
        ';',
        ':',
        'm',
        '<',
        '>',
        '"',
        '&',
        '\r',
        'é',
        '\\',
        '\u0007',
      ),
    });
    fc.assert(
      fc.property(hostile, (text) => {
        const rest = render(text).replace(/<span class="[a-z0-9 ]+">|<\/span>/g, '');
        expect(rest).not.toMatch(/[<>"]|&(?!(?:amp|lt|gt|quot|#39);)/);
      }),
    );
  });

  it('renders any bytes without failing', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void renderLog(Buffer.from(bytes))));
  });
});

describe('a log', () => {
  it('keeps a last line that nothing ends yet', () => {
    expect(splitLines(Buffer.from('a\n\nb')).map(String)).toEqual(['a', '', 'b']);
  });

  it('knows the phases of stdenv, in either of its spellings', () => {
    const log =
      'Running phase: buildPhase\n@nix {"action":"setPhase","phase":"installPhase"}\nRunning phase: but not really\n';
    expect(renderLog(Buffer.from(log)).map(({ phase }) => phase)).toEqual([
      'buildPhase',
      'installPhase',
      undefined,
    ]);
  });

  it('as plain text has no colours', () => {
    expect(plainText(Buffer.from('\u001b[1;31merror:\u001b[0m no'))).toBe('error: no');
  });
});
