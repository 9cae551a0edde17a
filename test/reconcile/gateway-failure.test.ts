import { describe, expect, test } from 'vitest';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import type { GatewayFacts } from '../../src/reconcile/facts.ts';
import { gatewayFailure } from '../../src/reconcile/gateway-failure.ts';
import { container, facts, gatewayPod, type PodOver, spec } from '../support/builders.ts';

const ended = (message: string): PodOver => ({
  ready: false,
  container: container({ name: 'gateway', end: { exitCode: 1, reason: 'Error', message } }),
});
const found = (over: PodOver, input: QwenCoderSpecInput['endpoint'] = {}, gateway: Partial<GatewayFacts> = {}) =>
  gatewayFailure(
    facts({
      spec: spec({ endpoint: input }),
      gateway: { pods: [gatewayPod(over)], secrets: [], refusal: undefined, ...gateway },
    }),
    ['canary-of-a-key'],
  );

const keys = { authentication: { type: 'APIKey', secretRef: { name: 'team', key: 'list' } } } as const;
const KEYS = '--api-keys-file /etc/qwen-coder/api-keys/keys';

describe('gatewayFailure', () => {
  test('there is none while a gateway answers or is on its way up', () => {
    expect(found({})).toBeUndefined();
    expect(found({ ready: false })).toBeUndefined();
    expect(found({ ...ended('over'), leaving: true })).toBeUndefined();
  });

  test('a Secret of keys that is not there is named with its key; one that is of no use is to be corrected', () => {
    expect(found(ended(`${KEYS}: there is no such file`), keys)).toEqual({
      evidence: `pod coder-gateway-x: exit code 1: ${KEYS}: there is no such file`,
      remedy: expect.stringMatching(/^Create key list of Secret team .* spec\.endpoint\.authentication\.secretRef;/),
    });
    expect(found(ended(`${KEYS}: line 2 is no key`), keys)!.remedy).toMatch(/^Correct key list of Secret team /);
  });

  test('keys that the operator makes are nothing for the user to make', () => {
    expect(found(ended(`${KEYS}: there is no such file`))!.remedy).not.toContain('Secret');
  });

  test('a certificate that is not there is named', () => {
    const words = '--tls-cert-file /etc/qwen-coder/tls/tls.crt: there is no such file';
    expect(found(ended(words), { expose: { tlsSecretName: 'front' } })!.remedy).toMatch(
      /^Create Secret front .* kubernetes\.io\/tls .* spec\.endpoint\.expose\.tlsSecretName;/,
    );
  });

  test('an image, a node and a policy are told apart', () => {
    const waiting = { reason: 'ErrImagePull', message: 'not found' };
    expect(found({ ready: false, container: container({ waiting }) })!.remedy).toContain("the operator's own image");
    expect(found({ ready: false, unschedulable: '0/3 nodes are available' })).toEqual({
      evidence: 'pod coder-gateway-x finds no node: 0/3 nodes are available',
      remedy: 'Gateways need no GPU; spec.placement.tolerations counts for them too.',
    });
    const refusal =
      "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'labels' with binding 'all' denied request: set label team";
    expect(found({ ready: false }, {}, { refusal })).toEqual({
      evidence:
        "their pods are refused: ValidatingAdmissionPolicy 'labels' with binding 'all' denied request: set label team",
      remedy: 'Adapt ValidatingAdmissionPolicy labels or its binding all.',
    });
  });

  test('no secret is quoted', () => {
    expect(found(ended('refused canary-of-a-key'))!.evidence).toBe('pod coder-gateway-x: exit code 1: refused ***');
  });
});
