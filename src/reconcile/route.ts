import type { HTTPRoute, KubeObject } from '../kube/index.ts';
import { asSentence } from '../serving/index.ts';
import { ofKind } from './observe.ts';

/** What a Gateway says of a route that it does not take; undefined where it takes it, or has not said anything. */
export function routeRefusal(children: readonly KubeObject[]): string | undefined {
  for (const { status } of ofKind<HTTPRoute>(children, 'HTTPRoute')) {
    for (const { parentRef, conditions = [] } of status?.parents ?? []) {
      const refusal = conditions.find(
        ({ type, status: is }) => (type === 'Accepted' || type === 'ResolvedRefs') && is === 'False',
      );
      if (refusal) return `Gateway ${parentRef.name}: ${refusal.reason}: ${asSentence(refusal.message ?? '')}`;
    }
  }
  return undefined;
}
