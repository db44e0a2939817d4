/**
 * Reads what vitest's JSON reporter wrote, for scripts/test:
 *
 *   node scripts/test-report.js failed REPORT            the files that failed, a line each
 *   node scripts/test-report.js count STATUS REPORT…     `PASSED FAILED SKIPPED`; a file that stands in
 *                                                        several reports counts as in the last of them
 */
import { readFileSync } from 'node:fs';

const [, , command, ...rest] = process.argv;

function filesOf(report) {
  try {
    return JSON.parse(readFileSync(report, 'utf8')).testResults;
  } catch {
    return [];
  }
}

if (command === 'failed') {
  for (const file of filesOf(rest[0])) if (file.status === 'failed') console.log(file.name);
} else {
  const [status, ...reports] = rest;
  const files = [...new Map(reports.flatMap(filesOf).map((file) => [file.name, file])).values()];
  const tests = files.flatMap((file) => file.assertionResults);
  const count = (...states) => tests.filter((test) => states.includes(test.status)).length;
  // A file that could not be loaded, or whose set-up failed, has no failed test to its name.
  const broken = files.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  const failed = count('failed') + broken.length;
  // A run that ended badly without a failed test (no report, an error outside of tests) failed too.
  console.log(
    count('passed'),
    failed === 0 && status !== '0' ? 1 : failed,
    count('pending', 'skipped', 'todo', 'disabled'),
  );
}
