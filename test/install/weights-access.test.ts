import { describe, expect, test } from 'vitest';
import { operatorOptions } from '../../src/options.ts';
import { weightsJob } from '../../src/render/index.ts';
import { owner, plan, spec } from '../support/builders.ts';

const access = {
  proxy: 'http://proxy.corp:3128',
  noProxy: 'hub.corp',
  authorities: { configMap: 'corp-ca', key: 'ca.crt' },
};
const job = (
  ...access: Parameters<typeof weightsJob> extends [unknown, unknown, unknown, ...infer Rest] ? Rest : never
) => weightsJob(owner(), spec(), plan(), ...access)!;

describe('the way to the hub', () => {
  test('is rendered into the weights Job alone, after what the Job always has', () => {
    const plain = job().spec!.template.spec!;
    const { containers, volumes } = job(access).spec!.template.spec!;
    expect(containers[0]!.env!.slice(plain.containers[0]!.env!.length)).toEqual([
      { name: 'HTTP_PROXY', value: 'http://proxy.corp:3128' },
      { name: 'HTTPS_PROXY', value: 'http://proxy.corp:3128' },
      { name: 'NO_PROXY', value: 'hub.corp' },
      { name: 'REQUESTS_CA_BUNDLE', value: '/etc/weights-authorities/ca.crt' },
      { name: 'SSL_CERT_FILE', value: '/etc/weights-authorities/ca.crt' },
      { name: 'HF_HUB_DISABLE_XET', value: '1' },
    ]);
    expect(containers[0]!.volumeMounts).toEqual([
      ...plain.containers[0]!.volumeMounts!,
      { name: 'authorities', mountPath: '/etc/weights-authorities', readOnly: true },
    ]);
    expect(volumes).toEqual([...plain.volumes!, { name: 'authorities', configMap: { name: 'corp-ca' } }]);
  });

  test.each([
    { name: 'nothing', access: {} },
    { name: 'undefined', access: { proxy: undefined, noProxy: undefined, authorities: undefined } },
  ])('$name renders nothing', ({ access }) => {
    expect(job(access)).toEqual(job());
  });

  test('a change of it makes no new Job: nothing is fetched anew', () => {
    expect(job(access).metadata!.name).toBe(job().metadata!.name);
  });
});

describe('its flags', () => {
  test.each([
    ['--weights-proxy=proxy.corp:3128'],
    ['--weights-proxy=socks5://proxy.corp'],
    ['--weights-proxy=http://user:password@proxy.corp'],
    ['--weights-ca-configmap=corp-ca'],
    ['--weights-ca-configmap=corp-ca/../x/y'],
  ])('%s is refused', (flag) => {
    expect(() => operatorOptions([flag], {})).toThrow(flag.split('=')[0]!.slice(2));
  });

  test('a password in the URL of the proxy is refused without being repeated', () => {
    expect(() => operatorOptions(['--weights-proxy=http://user:hunter2@proxy.corp'], {})).toThrow(/^(?!.*hunter2)/s);
  });
});
