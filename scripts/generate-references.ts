/**
 * Writes every document that is generated from source; with `--check`, fails when one is out of date.
 * Each generator reads the flag itself.
 */
import './generate-cli-reference.ts';
import './generate-config-reference.ts';
import './generate-openapi.ts';
import './generate-repository-settings-reference.ts';
import { generate } from './generate-protocol.ts';

await generate(process.argv.includes('--check'));
