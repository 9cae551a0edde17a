import { describe, expect, test } from 'vitest';
import {
  KubeControllerRevision,
  KubeDeployment,
  KubeService,
  int,
  manifest,
  quantity,
  text,
} from '../../src/render/manifest.ts';

const deployment = (container: object) => ({
  metadata: { name: 'a' },
  spec: { selector: {}, template: { spec: { containers: [{ name: 'a', ...container }] } } },
});

describe('manifest', () => {
  test('what cdk8s knows is rendered as it is', () => {
    const props = deployment({
      resources: { limits: { 'nvidia.com/gpu': quantity('4') } },
      livenessProbe: { httpGet: { path: '/', port: text('http') } },
    });
    expect(manifest(KubeDeployment, props)).toMatchObject({
      spec: {
        template: {
          spec: {
            containers: [
              { resources: { limits: { 'nvidia.com/gpu': '4' } }, livenessProbe: { httpGet: { port: 'http' } } },
            ],
          },
        },
      },
    });
  });

  test.each([
    { name: 'a GPU limit as text', container: { resources: { limits: { 'nvidia.com/gpu': '4' } } } },
    { name: 'a port as text', container: { livenessProbe: { httpGet: { path: '/', port: 'http' } } } },
    { name: 'a field younger than 1.28', container: { restartPolicyRules: [{ action: 'Restart' }] } },
  ])('$name, which cdk8s drops silently, is an error', ({ container }) => {
    expect(() => manifest(KubeDeployment, deployment(container) as never)).toThrow(
      /cdk8s lost \$\.spec\.template\.spec\.containers\[0\]/,
    );
  });

  test('a quantity in what cdk8s hands through as it is fails: nobody would turn it into text', () => {
    const props = { metadata: { name: 'coder' }, revision: 1, data: { size: quantity('1Gi') } };
    expect(() => manifest(KubeControllerRevision, props)).toThrow(/cdk8s lost \$\.data\.size/);
  });

  test('acronyms that cdk8s spells its own way are found', () => {
    expect(
      manifest(KubeService, {
        metadata: { name: 'a' },
        spec: { clusterIp: 'None', ports: [{ port: 80, targetPort: int(8000) }] },
      }),
    ).toMatchObject({
      spec: { clusterIP: 'None', ports: [{ targetPort: 8000 }] },
    });
  });
});
