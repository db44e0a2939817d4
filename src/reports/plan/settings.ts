/** What a gate says of the settings file of its commit. */
import { type SettingsReview, settingsFilePath } from '../../projects/index.ts';
import { cutBytesVisibly, limits } from '../limits.ts';
import { inlineCode, plainText, tableCell } from '../markdown.ts';
import type { Annotation } from '../types.ts';

/** Blocks of Markdown; none where there is nothing to say. */
export function settingsBlocks(review: SettingsReview | undefined): readonly string[] {
  if (!review) return [];
  const file = inlineCode(settingsFilePath);
  const { place, problems, changes } = review;
  if (problems.length > 0) {
    const consequence =
      place === 'proposed'
        ? `${file} would not count: the settings of before would stay in force.`
        : `${file} does not count: the settings of before are still in force.`;
    const rows = problems.map(({ line, message }) => `- Line ${line}: ${inlineCode(message)}`);
    return [`${consequence}\n\n${rows.join('\n')}`];
  }
  if (place !== 'proposed') return [];
  if (changes.length === 0) return [`${file} is changed; the settings stay the same.`];
  const cell = (value: string | undefined) =>
    value === undefined ? 'not set' : tableCell(inlineCode(value, 300));
  const rows = changes.map(
    ({ key, from, to }) => `| ${tableCell(inlineCode(key))} | ${cell(from)} | ${cell(to)} |`,
  );
  return [
    `${file} is changed. Once this is on the default branch, these settings are others; until then those of before count, for this commit too.\n\n| Setting | Now | Then |\n|---|---|---|\n${rows.join('\n')}`,
  ];
}

/** The problems at their lines. */
export function settingsAnnotations(review: SettingsReview | undefined): readonly Annotation[] {
  return (review?.problems ?? []).map(({ line, message }) => ({
    path: settingsFilePath,
    startLine: line,
    endLine: line,
    level: 'failure',
    title: 'Settings that do not count',
    message: cutBytesVisibly(plainText(message), limits.annotationMessageBytes) || 'No message.',
  }));
}
