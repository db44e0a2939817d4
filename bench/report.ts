/** How measurements are told. */

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN, sorted[middle] ?? Number.NaN];
  return (low + high) / 2;
}

/** One line: what, the figure, and the figure that is wanted. */
export function row(what: string, figure: string, wanted: string): void {
  process.stdout.write(`${what.padEnd(58)} ${figure.padStart(10)}   (${wanted})\n`);
}
