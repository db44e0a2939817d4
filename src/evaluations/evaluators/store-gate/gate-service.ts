/**
 * What one client of the gate, an evaluator process, may do to the store.
 *
 *   derivations      named and kept in memory; written before anybody looks at one as a file
 *   files, texts     added to the store, and noted as this evaluation's
 *   questions        answered by the store
 *   builds           import from derivation: trusted code only
 *   anything else    refused
 */
import type { PendingDerivations } from '../../../nix/index.ts';
import {
  addIndirectRoot,
  addTempRoot,
  addTree,
  buildPathsWithResults,
  type DaemonEvent,
  describeText,
  ensurePath,
  isValidPath,
  queryMissing,
  queryOutputs,
  queryPathFromHashPart,
  queryPathInfo,
  querySubstitutablePaths,
  queryValidPaths,
  type StoreService,
} from '../../../nix/index.ts';
import { type Audit, foreignPath } from './audit.ts';
import type { Trail } from './trail.ts';
import type { Upstream } from './upstream.ts';

export interface GateServiceOptions {
  readonly storeDir: string;
  readonly upstream: Upstream;
  readonly derivations: PendingDerivations;
  readonly trail: Trail;
  /** Untrusted code builds nothing and has nothing substituted while it is evaluated. */
  readonly trusted: boolean;
  /** What else is in the store stays unseen. Absent: all of it is this user's own. */
  readonly audit?: Audit | undefined;
}

export function createGateService(options: GateServiceOptions): StoreService {
  const { upstream, derivations, trail, storeDir, trusted, audit } = options;

  /** A pending derivation becomes a file before it is looked at. */
  async function settled(paths: readonly string[]): Promise<void> {
    const pending = paths.map(derivationOf).filter((path) => derivations.has(path));
    if (pending.length > 0) await derivations.write(pending);
  }

  /** What another evaluation has put there is as if it were not, so that it is fetched again. */
  async function sees(path: string): Promise<boolean> {
    return audit === undefined || (await audit.isVisible(path));
  }

  return {
    setOptions: ({ maxSilentSeconds, keepGoing, ...settings }) =>
      upstream.setOptions({
        ...settings,
        overrides: {
          'keep-going': String(keepGoing),
          ...(maxSilentSeconds > 0 && { 'max-silent-time': String(maxSilentSeconds) }),
        },
      }),
    isValidPath: async (path) => {
      await settled([path]);
      if (derivations.has(path)) return true;
      return (await sees(path)) && (await upstream.ask(isValidPath(path)));
    },
    pathInfo: async (path) => {
      await settled([path]);
      return (await sees(path)) ? upstream.ask(queryPathInfo(path)) : undefined;
    },
    pathFromHashPart: async (hashPart) => {
      const path = await upstream.ask(queryPathFromHashPart(hashPart));
      return path !== undefined && (await sees(path)) ? path : undefined;
    },
    validPaths: async (paths, substitute) => {
      await settled(paths);
      const seen: string[] = [];
      for (const path of paths) if (await sees(path)) seen.push(path);
      return upstream.ask(queryValidPaths(seen, substitute && trusted));
    },
    substitutablePaths: async (paths) =>
      trusted ? upstream.ask(querySubstitutablePaths(paths)) : new Set<string>(),
    missing: async (paths) => {
      await settled(paths);
      return upstream.ask(queryMissing(paths));
    },
    outputs: async (drvPath) => {
      const derivation = derivations.read(drvPath);
      if (derivation === undefined) return upstream.ask(queryOutputs(drvPath));
      return new Map([...derivation.outputs].map(([name, { path }]) => [name, path] as const));
    },
    ensurePath: async (path) => {
      await settled([path]);
      if (derivations.has(path)) return;
      if (!(await sees(path))) throw new Error(`this evaluation uses ${foreignPath(path)}`);
      if (trusted) await upstream.ask(ensurePath(path));
      // Whether anybody has a path is not for everybody to find out.
      else if (!(await upstream.ask(isValidPath(path)))) throw new Error(`path '${path}' is not valid`);
    },
    // It is kept when it is written.
    addTempRoot: async (path) => {
      if (!derivations.has(path) && (await sees(path))) await upstream.ask(addTempRoot(path));
    },
    addIndirectRoot: async (link) => void (await upstream.ask(addIndirectRoot(link))),
    build: async (paths, onEvent) => {
      if (!trusted) throw new Error('building is not allowed while code that is not trusted is evaluated');
      for (const path of paths) {
        const problem = await audit?.check(derivationOf(path));
        if (problem !== undefined) throw new Error(`this build uses ${foreignPath(problem)}`);
      }
      await settled(paths);
      await build(options, paths, onEvent);
    },
    addDerivation: (fileName, content, references) => {
      if (!content.subarray(0, derivationStart.length).equals(derivationStart)) {
        throw new Error(`'${fileName}' is not a derivation`);
      }
      const described = describeText(storeDir, fileName, content, references);
      derivations.add(described.path, content.toString('latin1'), references);
      trail.derivation(described.path);
      return described;
    },
    addTree: async (tree, onEvent) => {
      const stored = await upstream.ask(addTree(tree), onEvent);
      trail.added(stored.path);
      return stored;
    },
  };
}

async function build(
  { upstream, trail }: GateServiceOptions,
  paths: readonly string[],
  onEvent: (event: DaemonEvent) => void,
): Promise<void> {
  const heard = trail.building(paths);
  const results = await upstream.ask(buildPathsWithResults(paths), (event) => {
    heard.event(event);
    onEvent(event);
  });
  heard.ended(results);
  const bad = results.find(({ status }) => !good.has(status));
  if (bad !== undefined) throw new Error(bad.message || `building '${bad.path}' failed`);
}

const good: ReadonlySet<string> = new Set([
  'built',
  'substituted',
  'already-valid',
  'resolves-to-already-valid',
]);

const derivationStart = Buffer.from('Derive(');

/** `DRV` of `DRV!out`. */
function derivationOf(path: string): string {
  const end = path.indexOf('!');
  return end < 0 ? path : path.slice(0, end);
}
