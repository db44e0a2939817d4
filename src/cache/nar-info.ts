/** The files `HASH.narinfo` of a binary cache: what a path is, and where its NAR can be fetched. */
import type { PathInfo } from '../nix/index.ts';
import { formatHash, parseHash } from './hashes.ts';

/** Ways of compression that caches use. */
export const compressions = ['none', 'zstd', 'xz', 'gzip', 'bzip2', 'br'] as const;
export type Compression = (typeof compressions)[number];

export interface NarInfo {
  readonly path: string;
  /** Of the NAR; relative to the cache, or absolute. */
  readonly url: string;
  readonly compression: Compression;
  /** SHA-256 of the compressed NAR in base 16. */
  readonly fileHash?: string | undefined;
  readonly fileBytes?: number | undefined;
  readonly info: PathInfo;
}

/** Something that is not a narinfo, and why. */
export class NarInfoError extends Error {
  constructor(message: string) {
    super(`not a narinfo: ${message}`);
    this.name = 'NarInfoError';
  }
}

/** Bytes. Paths with thousands of references exist. */
export const maxNarInfoBytes = 4 * 1024 * 1024;

const baseName = /^[0-9a-df-np-sv-z]{32}-[A-Za-z0-9+\-._?=]{1,207}$/;
const once = [
  'StorePath',
  'URL',
  'Compression',
  'FileHash',
  'FileSize',
  'NarHash',
  'NarSize',
  'References',
  'Deriver',
  'CA',
];

/** Whether this is a path of a store in `storeDir`, not of something below it. */
export function isStorePath(storeDir: string, path: string): boolean {
  return path.startsWith(`${storeDir}/`) && baseName.test(path.slice(storeDir.length + 1));
}

/** The file of a path in a cache. */
export function narInfoName(path: string): string {
  return `${path.slice(path.lastIndexOf('/') + 1).slice(0, 32)}.narinfo`;
}

/** Reads a narinfo of a store in `storeDir`. Throws NarInfoErrors. */
export function parseNarInfo(text: string, storeDir: string): NarInfo {
  if (text.length > maxNarInfoBytes) throw new NarInfoError('it is too long');
  const { fields, signatures } = fieldsOf(text);
  const needed = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined || value === '') throw new NarInfoError(`it has no ${name}`);
    return value;
  };
  const storePath = (name: string): string => {
    const path = `${storeDir}/${name}`;
    if (!isStorePath(storeDir, path)) throw new NarInfoError(`'${name}' is not the name of a store path`);
    return path;
  };
  const path = needed('StorePath');
  if (!isStorePath(storeDir, path)) throw new NarInfoError(`'${path}' is not a path in ${storeDir}`);
  const deriver = fields.get('Deriver');
  const references = words(fields.get('References')).map(storePath);
  const fileHash = fields.get('FileHash');
  const fileBytes = fields.get('FileSize');
  return {
    path,
    url: needed('URL'),
    compression: compressionOf(fields.get('Compression')),
    fileHash: fileHash === undefined ? undefined : hashOf(fileHash),
    fileBytes: fileBytes === undefined ? undefined : sizeOf(fileBytes),
    info: {
      deriver:
        deriver === undefined || deriver === 'unknown-deriver' || deriver === ''
          ? undefined
          : storePath(deriver),
      narHash: hashOf(needed('NarHash')),
      narBytes: sizeOf(needed('NarSize')),
      references: new Set(references),
      registeredAt: new Date(0),
      ultimate: false,
      signatures: new Set(signatures),
      contentAddress: fields.get('CA') || undefined,
    },
  };
}

/** The text of a narinfo, its lines in the order in which Nix writes them. */
export function formatNarInfo(narInfo: NarInfo): string {
  const { path, info } = narInfo;
  const nameOf = (storePath: string) => storePath.slice(storePath.lastIndexOf('/') + 1);
  const lines = [
    ['StorePath', path],
    ['URL', narInfo.url],
    ['Compression', narInfo.compression],
    ['FileHash', narInfo.fileHash && formatHash(narInfo.fileHash)],
    ['FileSize', narInfo.fileBytes],
    ['NarHash', formatHash(info.narHash)],
    ['NarSize', info.narBytes],
    ['References', [...info.references].map(nameOf).sort().join(' ')],
    ['Deriver', info.deriver && nameOf(info.deriver)],
    ...[...info.signatures].sort().map((signature) => ['Sig', signature]),
    ['CA', info.contentAddress],
  ];
  return lines.map(([name, value]) => (value === undefined ? '' : `${name}: ${value}\n`)).join('');
}

function fieldsOf(text: string) {
  const fields = new Map<string, string>();
  const signatures: string[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const colon = line.indexOf(': ');
    // `References: ` may have lost its space.
    const name = colon < 0 && line.endsWith(':') ? line.slice(0, -1) : line.slice(0, Math.max(colon, 0));
    if (name === '') throw new NarInfoError('a line has no name');
    const value = colon < 0 ? '' : line.slice(colon + 2).trim();
    if (name === 'Sig') signatures.push(value);
    else if (once.includes(name) && fields.has(name)) throw new NarInfoError(`it has two of ${name}`);
    else fields.set(name, value);
  }
  if (signatures.length > 100) throw new NarInfoError('it has more than 100 signatures');
  return { fields, signatures };
}

/** Absent means bzip2, from the time when there was nothing else. */
function compressionOf(text: string | undefined): Compression {
  const named = text === undefined || text === '' ? 'bzip2' : text;
  const known = compressions.find((compression) => compression === named);
  if (known === undefined) throw new NarInfoError(`the compression '${named}' is not known`);
  return known;
}

function hashOf(text: string): string {
  const hash = parseHash(text);
  if (hash === undefined) throw new NarInfoError(`'${text}' is not a SHA-256`);
  return hash;
}

function sizeOf(text: string): number {
  const size = /^\d{1,16}$/.test(text) ? Number(text) : 0;
  if (size === 0 || !Number.isSafeInteger(size)) throw new NarInfoError(`'${text}' is not a size`);
  return size;
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(' ').filter((word) => word !== '');
}
