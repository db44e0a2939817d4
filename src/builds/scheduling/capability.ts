/** Which builders may take which builds. */

/** What decides who may take a build, and for whom it is. */
export interface Lane {
  readonly trustDomain: string;
  readonly system: string;
  readonly requiredFeatures: readonly string[];
  /** 0: no project. */
  readonly projectId: number;
}

export interface Capability {
  readonly systems: readonly string[];
  readonly features: readonly string[];
  readonly mandatoryFeatures: readonly string[];
  readonly trustDomains: readonly string[];
}

/** Nix's rules for remote machines: all that is required is there, and all that is mandatory is required. */
export function canTake(builder: Capability, lane: Omit<Lane, 'projectId'>): boolean {
  const { systems, features, mandatoryFeatures, trustDomains } = builder;
  return (
    trustDomains.includes(lane.trustDomain) &&
    (lane.system === 'builtin' || systems.includes(lane.system)) &&
    lane.requiredFeatures.every((name) => features.includes(name) || mandatoryFeatures.includes(name)) &&
    mandatoryFeatures.every((name) => lane.requiredFeatures.includes(name))
  );
}

/** Builders with the same one can take the same builds. */
export function capabilityKey(builder: Capability): string {
  const { systems, features, mandatoryFeatures, trustDomains } = builder;
  return JSON.stringify([systems, features, mandatoryFeatures, trustDomains].map((list) => [...list].sort()));
}
