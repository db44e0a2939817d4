/** A log as the page shows it: lines of HTML and the phases they belong to. */
import { type AnsiRenderer, createAnsiRenderer, plainText, splitLines } from './ansi.ts';

export interface LogLine {
  readonly html: string;
  /** Set on the line where a phase of the build starts. */
  readonly phase?: string;
}

// stdenv says so in plain text (since 2023), older ones in a message to Nix that may reach the log.
export const phasePattern =
  /^(?:Running phase: (\w{1,60})|@nix \{"action":"setPhase","phase":"(\w{1,60})"\})$/;

/** Renders a stretch of log; colours go on from line to line of one renderer. */
export function renderLog(bytes: Buffer, renderer: AnsiRenderer = createAnsiRenderer()): LogLine[] {
  return splitLines(bytes).map((line) => {
    // Long lines are no phase headings; do not decode them twice.
    const match = line.length < 200 ? phasePattern.exec(plainText(line)) : null;
    const phase = match?.[1] ?? match?.[2];
    return phase === undefined ? { html: renderer.line(line) } : { html: renderer.line(line), phase };
  });
}
