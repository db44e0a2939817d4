/**
 * What makes one derivation another. The paths of inputs differ with everything that they are made of,
 * so they are left out of the comparison of texts and followed one by one instead. Pure.
 */
import { type Derivation, derivationName } from '../../nix/index.ts';
import type { ChangeCause } from './types.ts';

/** A derivation and what it was before. */
export interface Pair {
  readonly before: string;
  readonly now: string;
}

export interface Difference {
  /** What differs in the derivation itself. */
  readonly own: ChangeCause | undefined;
  /** Inputs that are others than before: where to look when it is nothing of its own. */
  readonly inputs: readonly Pair[];
}

export function differenceOf(pair: Pair, before: Derivation, now: Derivation): Difference {
  const of = derivationName(pair.now);
  const from = derivationName(pair.before);
  const matched = matchInputs(before, now);
  const own: ChangeCause | undefined =
    from === of
      ? (partDifference(before, now, of) ??
        variableDifference(before, now, of) ??
        sourceDifference(before, now, of) ??
        (matched.inputs.length === 0 ? inputDifference(matched, of) : undefined))
      : { kind: 'name', from, to: of };
  // Inputs that came or went are the cause only where those that stayed tell nothing.
  return { own, inputs: matched.inputs };
}

/** The whole path: the name of an input may hold a version, which is the input's own difference. */
const storePathIn = /(?<![0-9a-z])[0-9a-z]{32}-[\w+.?=-]+|\/[0-9a-z]{52}(?![0-9a-z])/g;

function blank(text: string): string {
  return text.replace(storePathIn, '…');
}

function partDifference(before: Derivation, now: Derivation, of: string): ChangeCause | undefined {
  const part = (name: 'builder' | 'arguments' | 'system' | 'outputs'): ChangeCause => ({
    kind: 'part',
    name,
    of,
  });
  if (before.system !== now.system) return part('system');
  if (blank(before.builder) !== blank(now.builder)) return part('builder');
  if (blank(before.arguments.join('\0')) !== blank(now.arguments.join('\0'))) return part('arguments');
  const outputsOf = ({ outputs }: Derivation) =>
    JSON.stringify([...outputs].map(([name, { hashAlgorithm }]) => [name, hashAlgorithm]));
  return outputsOf(before) === outputsOf(now) ? undefined : part('outputs');
}

function variableDifference(before: Derivation, now: Derivation, of: string): ChangeCause | undefined {
  const names = new Set([...now.environment.keys(), ...before.environment.keys()]);
  for (const name of [...names].sort()) {
    const old = before.environment.get(name);
    const text = now.environment.get(name);
    if (old === text) continue;
    if (old === undefined || text === undefined || blank(old) !== blank(text)) {
      return { kind: 'variable', name, of };
    }
  }
  return undefined;
}

function sourceDifference(before: Derivation, now: Derivation, of: string): ChangeCause | undefined {
  const known = new Set(before.inputSources);
  const changed = now.inputSources.find((path) => !known.has(path));
  const kept = new Set(now.inputSources);
  const source = changed ?? before.inputSources.find((path) => !kept.has(path));
  return source === undefined ? undefined : { kind: 'source', name: derivationName(source), of };
}

interface Matched {
  readonly inputs: readonly Pair[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

function inputDifference({ added, removed }: Matched, of: string): ChangeCause | undefined {
  if (added[0] !== undefined) return { kind: 'input-added', name: derivationName(added[0]), of };
  if (removed[0] !== undefined) return { kind: 'input-removed', name: derivationName(removed[0]), of };
  return undefined;
}

/** Which input stands where another one stood: by name, or by name without its version. */
function matchInputs(before: Derivation, now: Derivation): Matched {
  let removed = [...before.inputDerivations.keys()].filter((path) => !now.inputDerivations.has(path));
  let added = [...now.inputDerivations.keys()].filter((path) => !before.inputDerivations.has(path));
  const inputs: Pair[] = [];
  for (const keyOf of [derivationName, unversioned]) {
    const waiting = new Map<string, string[]>();
    for (const path of removed) waiting.set(keyOf(path), [...(waiting.get(keyOf(path)) ?? []), path]);
    added = added.filter((path) => {
      const old = waiting.get(keyOf(path))?.shift();
      if (old !== undefined) inputs.push({ before: old, now: path });
      return old === undefined;
    });
    removed = [...waiting.values()].flat();
  }
  return { inputs, added, removed };
}

/** As Nix splits names: the version begins after the first dash that no letter follows. */
function unversioned(drvPath: string): string {
  return derivationName(drvPath).replace(/-(?![A-Za-z]).*$/, '');
}
