import { GROUP, KIND, type QwenCoderDeployment, type QwenCoderSpec, VERSION } from '../api/index.ts';
import { type Installation, type Owner, type WeightsAccess, engineKeysName } from '../render/index.ts';
import { type Desire, desiredChildren, isRollingOut, wantedReplicas } from './desired.ts';
import { type Difference, diff } from './diff.ts';
import type { Planner } from './metrics.ts';
import { type Caches, type Counted, observe, observeModel, observeVolume } from './observe.ts';
import { type Learned, chooseTarget } from './target.ts';

/** What is to be done about one resource, with all that it was decided on. */
export interface Decision extends Desire, Difference {}

export interface DecisionOptions {
  readonly installation: Installation;
  readonly plan?: Planner;
  readonly access?: WeightsAccess | undefined;
  readonly learned?: Learned | undefined;
  readonly counted?: Counted | undefined;
}

/**
 * Decides about one resource from memory alone: observe, target, rollout, children, diff. A reconcile writes what it says; whoever wants
 * to know beforehand asks it too.
 */
export function decide(
  caches: Caches,
  key: string,
  resource: QwenCoderDeployment,
  spec: QwenCoderSpec,
  { installation, plan, access, learned, counted }: DecisionOptions,
): Decision {
  const facts = observe(caches, key, ownerOf(resource), resource, spec, counted);
  const keysName = engineKeysName(facts.revisions) ?? installation.keysOf(facts.owner).secretName;
  const target = chooseTarget(facts, keysName, plan, learned);
  const model = target.planned ? observeModel(caches, key, facts, target.revision) : ({ state: 'missing' } as const);
  const volume = target.planned ? observeVolume(facts, target.revision) : undefined;
  const desire: Desire = { facts, target, model, volume, wanted: wantedReplicas(spec), access, installation };
  const found = diff(facts.owner, desiredChildren(desire), facts.children, {
    keepWeights: isRollingOut(facts.slots, target),
  });
  return { ...desire, ...found };
}

const ownerOf = ({ metadata }: QwenCoderDeployment): Owner => ({
  apiVersion: `${GROUP}/${VERSION}`,
  kind: KIND,
  namespace: metadata.namespace,
  name: metadata.name,
  uid: metadata.uid,
});
