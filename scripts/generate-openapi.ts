/**
 * Writes docs/reference/openapi.json from the schemas of the API. With `--check` it only tells
 * whether the file is what it would write.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { openApiDocument } from '../src/web/index.ts';

const file = fileURLToPath(new URL('../docs/reference/openapi.json', import.meta.url));
const document = `${JSON.stringify(await openApiDocument(), undefined, 2)}\n`;

if (process.argv.includes('--check')) {
  const before = await readFile(file, 'utf8').catch(() => '');
  if (before !== document) {
    console.error('docs/reference/openapi.json is out of date: run npx tsx scripts/generate-openapi.ts');
    process.exitCode = 1;
  }
} else {
  await writeFile(file, document);
}
