/** What `/ci help` says. */
export function helpText(word: string): string {
  return [
    'people with write permission can write, on a line of its own:',
    '',
    '| | |',
    '|---|---|',
    `| \`${word} run [pattern]\` | evaluate and build the head of this pull request; what failed before, or those attributes of it that fit the pattern (\`checks.*\`), is tried anew |`,
    `| \`${word} rerun [failed] [pattern]\` | the same; with \`failed\` only if something has failed |`,
    `| \`${word} cancel\` | stop what is under way for the head |`,
    `| \`${word} approve [commit]\` | let the head be evaluated and built although it comes from outside; holds for this one commit |`,
    `| \`${word} help\` | this |`,
  ].join('\n');
}
