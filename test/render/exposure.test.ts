import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { QwenCoderSpecInput } from '../../src/api/index.ts';
import { exposure } from '../../src/render/exposure.ts';
import { networkPolicies } from '../../src/render/network-policies.ts';
import { installation, owner, spec } from '../support/builders.ts';

type Expose = NonNullable<NonNullable<QwenCoderSpecInput['endpoint']>['expose']>;

const exposed = (expose: Expose): string => {
  const { spec: is, metadata } = exposure(owner(), spec({ endpoint: { expose } }))!;
  return stringify({ annotations: metadata!.annotations, spec: is });
};

describe('the way in from outside', () => {
  test('is none where the endpoint is reached inside the cluster', () => {
    expect(exposure(owner(), spec())).toBeUndefined();
  });

  test('by an Ingress leads to the Service, and is not cut off while a request is held', () => {
    const text = exposed({
      type: 'Ingress',
      host: 'coder.example.com',
      className: 'nginx',
      tlsSecretName: 'coder-tls',
    });
    expect(text).toMatchInlineSnapshot(`
      "annotations:
        nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
        nginx.ingress.kubernetes.io/proxy-send-timeout: "3600"
        nginx.ingress.kubernetes.io/proxy-body-size: 8m
        nginx.ingress.kubernetes.io/proxy-buffering: off
        haproxy.org/timeout-server: 3600s
      spec:
        ingressClassName: nginx
        rules:
          - host: coder.example.com
            http:
              paths:
                - backend:
                    service:
                      name: coder
                      port:
                        number: 80
                  path: /
                  pathType: Prefix
        tls:
          - hosts:
              - coder.example.com
            secretName: coder-tls
      "
    `);
  });

  test("by an Ingress has the user's annotations before its own", () => {
    const annotations = { 'haproxy.org/timeout-server': '2h', 'cert-manager.io/issuer': 'own' };
    const { metadata } = exposure(
      owner(),
      spec({ endpoint: { expose: { type: 'Ingress', host: 'a', annotations } } }),
    )!;
    expect(metadata!.annotations).toMatchObject(annotations);
  });

  test('by an HTTPRoute attaches to the Gateways, with time for a request that is held', () => {
    const parentRefs = [{ name: 'public', namespace: 'infra', sectionName: 'https' }];
    expect(exposed({ type: 'HTTPRoute', host: 'coder.example.com', parentRefs })).toMatchInlineSnapshot(`
      "spec:
        parentRefs:
          - name: public
            namespace: infra
            sectionName: https
        hostnames:
          - coder.example.com
        rules:
          - backendRefs:
              - name: coder
                port: 80
            timeouts:
              request: 1h
              backendRequest: 1h
      "
    `);
  });
});

describe('network rules', () => {
  const rules = (network: QwenCoderSpecInput['network']): string =>
    stringify(networkPolicies(owner(), spec({ network }), installation).map(({ spec: is }) => is?.ingress));

  test('are none where the network is open', () => {
    expect(networkPolicies(owner(), spec({ network: { isolation: 'Open' } }), installation)).toEqual([]);
  });

  test('let nobody to the metrics where nobody may scrape', () => {
    expect(rules({ metricsFrom: [] })).toBe(rules({}));
  });

  test('let scrapers to the metrics of gateways and to nothing else, engines least of all', () => {
    const metricsFrom = [{ namespaceLabels: { team: 'monitoring' }, podLabels: { app: 'prometheus' } }, {}];
    expect(rules({ metricsFrom })).toMatchInlineSnapshot(`
      "- - from:
            - podSelector:
                matchLabels:
                  qwencoder.dev/resource: coder
                  app.kubernetes.io/component: gateway
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: qwen-coder-system
              podSelector:
                matchLabels:
                  app.kubernetes.io/name: qwen-coder-operator
          ports:
            - port: 8000
              protocol: TCP
      - - ports:
            - port: 8000
              protocol: TCP
        - from:
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: qwen-coder-system
              podSelector:
                matchLabels:
                  app.kubernetes.io/name: qwen-coder-operator
          ports:
            - port: 8001
              protocol: TCP
        - from:
            - namespaceSelector:
                matchLabels:
                  team: monitoring
              podSelector:
                matchLabels:
                  app: prometheus
            - podSelector:
                matchLabels: {}
          ports:
            - port: 8080
              protocol: TCP
      "
    `);
  });
});
