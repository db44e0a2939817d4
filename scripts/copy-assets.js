// Copies what the compiler leaves behind: the files that browsers load.
import { cp } from 'node:fs/promises';

const root = new URL('../', import.meta.url);
await cp(new URL('src/web/assets/', root), new URL('dist/web/assets/', root), { recursive: true });
