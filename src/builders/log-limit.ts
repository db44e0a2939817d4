/** Stops builds that print more than they may, whatever builds them. */
import { messageOf } from '../basics/index.ts';
import { type RealiseRequest, type RealiseResult, statusOfTrouble } from '../nix/index.ts';

type Limited = Pick<RealiseRequest, 'signal' | 'onLogLine'>;

/**
 * Runs a build with a signal and a receiver of lines that keep to the limit: bytes of output,
 * newlines included. Does not reject.
 */
export async function withinLogLimit(
  request: Limited,
  maxLogBytes: number,
  run: (limited: Limited) => Promise<RealiseResult>,
): Promise<RealiseResult> {
  const tooMuch = new AbortController();
  let printed = 0;
  const onLogLine = (line: Buffer) => {
    if (tooMuch.signal.aborted) return;
    printed += line.length + 1;
    if (printed > maxLogBytes) tooMuch.abort();
    else request.onLogLine(line);
  };
  try {
    const signal = AbortSignal.any([request.signal, tooMuch.signal]);
    const result = await run({ signal, onLogLine });
    if (!tooMuch.signal.aborted || result.status !== 'cancelled') return result;
    const message = `The build printed more than ${maxLogBytes} bytes and was stopped.`;
    return { status: 'log-limit', message, outputs: {} };
  } catch (error) {
    const message = messageOf(error);
    return { status: statusOfTrouble(message), message, outputs: {} };
  }
}
