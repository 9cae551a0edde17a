import type { NetworkPolicy } from '../../../src/kube/resources.ts';
import type { Pod } from '../../../src/kube/wire.ts';

type Selector = NonNullable<NetworkPolicy['spec']>['podSelector'];

/** Whether policies of its namespace leave a pod anybody to talk to; whom they name does not matter here. */
export function mayTalk({ metadata }: Pod, policies: readonly NetworkPolicy[]): boolean {
  const limiting = policies.filter(
    ({ spec }) => spec?.policyTypes?.includes('Egress') && selects(spec.podSelector, metadata?.labels ?? {}),
  );
  return limiting.length === 0 || limiting.some(({ spec }) => (spec?.egress ?? []).length > 0);
}

function selects(selector: Selector, labels: Readonly<Record<string, string>>): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector ?? {};
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      if (operator !== 'In') throw new Error(`the simulator knows no selectors with ${operator}`);
      return labels[key] !== undefined && values.includes(labels[key]);
    })
  );
}
