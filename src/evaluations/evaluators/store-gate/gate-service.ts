/**
 * What one client of the gate, an evaluator process, may do to the store.
 *
 *   derivations      named and kept in memory; written before anybody looks at one as a file
 *   files, texts     added to the store, and noted as this evaluation's
 *   questions        answered by the store
 *   builds           import from derivation: trusted code only
 *   anything else    refused
 */
import { messageOf } from '../../../basics/index.ts';
import type { PendingDerivations } from '../../../nix/index.ts';
import {
  addIndirectRoot,
  addTempRoot,
  addTree,
  describeText,
  ensurePath,
  isValidPath,
  parseDerivation,
  queryMissing,
  queryOutputs,
  queryPathFromHashPart,
  queryPathInfo,
  querySubstitutablePaths,
  queryValidPaths,
  type StoreService,
} from '../../../nix/index.ts';
import { type Audit, foreignPath } from './audit.ts';
import { derivationOf } from './import-watch.ts';
import type { Imports } from './imports.ts';
import type { Trail } from './trail.ts';
import type { Upstream } from './upstream.ts';
import { withoutSecrets } from './without-secrets.ts';

export interface GateServiceOptions {
  readonly storeDir: string;
  readonly upstream: Upstream;
  readonly derivations: PendingDerivations;
  /** Called when somebody wants to know of one of these, and is likely to read it then. */
  readonly onLookedAt?: (() => void) | undefined;
  readonly trail: Trail;
  readonly imports: Imports;
  /** Untrusted code builds nothing and has nothing substituted while it is evaluated. */
  readonly trusted: boolean;
  /** What else is in the store stays unseen. Absent: all of it is this user's own. */
  readonly audit?: Audit | undefined;
  /** What Nix fetches with. Code that makes Nix copy a file of it has it refused here. */
  readonly secrets: readonly Buffer[];
}

export function createGateService(options: GateServiceOptions): StoreService {
  const { upstream, derivations, trail, imports, storeDir, trusted, audit, secrets } = options;

  /** A pending derivation becomes a file before it is looked at. */
  async function settled(paths: readonly string[]): Promise<void> {
    const pending = paths.map(derivationOf).filter((path) => derivations.has(path));
    if (pending.length > 0) await derivations.write(pending);
  }

  /**
   * What another evaluation has put there is as if it were not, so that it is fetched again. Asked of what
   * is there: mostly nothing is, and the question may have derivations written.
   */
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
      if (derivations.has(path)) {
        options.onLookedAt?.();
        await settled([path]);
        return true;
      }
      return (await upstream.ask(isValidPath(path))) && (await sees(path));
    },
    pathInfo: async (path) => {
      await settled([path]);
      const info = await upstream.ask(queryPathInfo(path));
      return info !== undefined && (await sees(path)) ? info : undefined;
    },
    pathFromHashPart: async (hashPart) => {
      const path = await upstream.ask(queryPathFromHashPart(hashPart));
      return path !== undefined && (await sees(path)) ? path : undefined;
    },
    validPaths: async (paths, substitute) => {
      await settled(paths);
      const seen = new Set<string>();
      for (const path of await upstream.ask(queryValidPaths(paths, substitute && trusted))) {
        if (await sees(path)) seen.add(path);
      }
      return seen;
    },
    substitutablePaths: async (paths) =>
      trusted ? upstream.ask(querySubstitutablePaths(paths)) : new Set<string>(),
    missing: async (paths) => {
      for (const path of paths.map(derivationOf)) {
        if (!(await sees(path))) throw new Error(`this evaluation uses ${foreignPath(path)}`);
      }
      await settled(paths);
      return upstream.ask(queryMissing(paths));
    },
    outputs: async (drvPath) => {
      const derivation = derivations.read(drvPath);
      if (derivation === undefined) {
        if (!(await sees(drvPath))) throw new Error(`this evaluation uses ${foreignPath(drvPath)}`);
        return upstream.ask(queryOutputs(drvPath));
      }
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
      if (derivations.has(path) || !(await sees(path))) return;
      await upstream.ask(addTempRoot(path));
      await derivations.keep([path]);
    },
    addIndirectRoot: async (link) => void (await upstream.ask(addIndirectRoot(link))),
    build: async (paths, onEvent) => {
      if (!trusted) throw new Error('building is not allowed while code that is not trusted is evaluated');
      for (const path of paths) {
        const problem = await audit?.check(derivationOf(path));
        if (problem !== undefined) throw new Error(`this build uses ${foreignPath(problem)}`);
      }
      await settled(paths);
      await imports.build(upstream, paths, onEvent);
    },
    addDerivation: (fileName, content, references) => {
      refuseOther(fileName, content);
      if (derivations.bytes + content.length > maxDerivationBytes) {
        const limit = maxDerivationBytes / 1024 ** 2;
        throw new Error(
          `the derivations of one evaluation may have ${limit} MiB together, and these have more`,
        );
      }
      const described = describeText(storeDir, fileName, content, references);
      derivations.add(described.path, content, references);
      trail.derivation(described.path);
      return described;
    },
    addTree: async (tree, onEvent) => {
      // Whoever may read a file may read what it refers to.
      for (const path of tree.references) {
        if (!(await sees(path))) throw new Error(`'${tree.fileName}' refers to ${foreignPath(path)}`);
      }
      await settled(tree.references);
      const content =
        secrets.length > 0 ? withoutSecrets(tree.content, secrets, tree.fileName) : tree.content;
      const stored = await upstream.ask(addTree({ ...tree, content }), onEvent);
      trail.added(stored.path);
      // The connection may be cut, and builds begin when it is closed.
      await derivations.keep([stored.path]);
      return stored;
    },
  };
}

/** Bytes of all derivations of one evaluation, which are put aside on disk. All of nixpkgs has some 400 MB. */
const maxDerivationBytes = 512 * 1024 * 1024;

/** What calls itself a derivation and cannot be read as one would only fail later, and more besides. */
function refuseOther(fileName: string, content: Buffer): void {
  try {
    parseDerivation(content);
  } catch (error) {
    throw new Error(`'${fileName}' is not a derivation: ${messageOf(error)}`);
  }
  if (!/^[\w+.?=-]{1,211}$/.test(fileName))
    throw new Error(`'${fileName}' cannot be the name of a store path`);
}
