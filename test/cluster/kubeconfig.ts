import { stringify } from 'yaml';

export interface KubeconfigOptions {
  readonly server: string;
  /** The authority's certificate as PEM. */
  readonly authority: string;
  readonly user: string;
  readonly token: string;
  readonly namespace?: string;
}

/** A kubeconfig with one context. */
export function kubeconfigFor({ server, authority, user, token, namespace }: KubeconfigOptions): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'local',
    clusters: [
      { name: 'local', cluster: { server, 'certificate-authority-data': Buffer.from(authority).toString('base64') } },
    ],
    users: [{ name: user, user: { token } }],
    contexts: [
      { name: 'local', context: { cluster: 'local', user, ...(namespace === undefined ? {} : { namespace }) } },
    ],
  });
}
