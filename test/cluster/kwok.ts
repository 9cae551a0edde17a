// What KWOK is told. Stages belong to nodes: they are made Ready and kept so. Pods are none of its business unless asked.

/** The annotation that puts a node under KWOK's care; a node without it is left alone, even in somebody's real cluster. */
export const kwokAnnotation = { key: 'kwok.x-k8s.io/node', value: 'fake' } as const;

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

const nodeConditions = `conditions:
{{ range NodeConditions }}
- {lastHeartbeatTime: {{ Now | Quote }}, lastTransitionTime: {{ Now | Quote }}, message: {{ .message | Quote }}, reason: {{ .reason | Quote }}, status: {{ .status | Quote }}, type: {{ .type | Quote }}}
{{ end }}`;

const readyStatus = `.status.conditions.[] | select( .type == "Ready" ) | .status`;

const nodeStages: readonly Json[] = [
  stage('node-ready', 'Node', {
    selector: [{ key: readyStatus, operator: 'NotIn', values: ['True'] }],
    statusTemplate: `${nodeConditions}
addresses:
- {type: InternalIP, address: {{ NodeIP | Quote }}}
- {type: Hostname, address: {{ .metadata.name | Quote }}}
{{ with NodePort }}
daemonEndpoints: {kubeletEndpoint: {Port: {{ . }}}}
{{ end }}
phase: Running`,
  }),
  // Leases are the heartbeat; like the kubelet, the status is repeated only now and then.
  stage('node-heartbeat', 'Node', {
    selector: [{ key: readyStatus, operator: 'In', values: ['True'] }],
    delayMs: 300_000,
    statusTemplate: nodeConditions,
  }),
];

const podStages: readonly Json[] = [
  stage('pod-running', 'Pod', {
    selector: [
      { key: '.metadata.deletionTimestamp', operator: 'DoesNotExist' },
      { key: '.status.podIP', operator: 'DoesNotExist' },
    ],
    statusTemplate: `{{ $now := Now }}
conditions:
{{ range $type := list "PodReadyToStartContainers" "Initialized" "ContainersReady" "Ready" }}
- {type: {{ $type }}, status: "True", lastTransitionTime: {{ $now | Quote }}}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: "", ready: true, started: true, restartCount: 0, state: {running: {startedAt: {{ $now | Quote }}}}}
{{ end }}
hostIP: {{ index (NodeIPsWith .spec.nodeName) 0 | Quote }}
podIP: {{ index (PodIPsWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace) 0 | Quote }}
podIPs: [{ip: {{ index (PodIPsWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace) 0 | Quote }}}]
phase: Running
startTime: {{ $now | Quote }}`,
  }),
  stage('pod-completed', 'Pod', {
    selector: [
      { key: '.metadata.deletionTimestamp', operator: 'DoesNotExist' },
      { key: '.status.phase', operator: 'In', values: ['Running'] },
      { key: '.metadata.ownerReferences.[].kind', operator: 'In', values: ['Job'] },
    ],
    statusTemplate: `{{ $now := Now }}
containerStatuses:
{{ range .spec.containers }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: "", ready: false, started: false, restartCount: 0, state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}}
{{ end }}
phase: Succeeded`,
  }),
  {
    ...(stage('pod-deleted', 'Pod', {
      selector: [{ key: '.metadata.deletionTimestamp', operator: 'Exists' }],
    }) as Record<string, Json>),
  },
];

/** Stages as a file for `kwok --config`: one JSON document each, which is YAML. */
export function kwokStages(podsRun: boolean): string {
  const stages = podsRun ? [...nodeStages, ...podStages] : nodeStages;
  return stages.map((stage) => JSON.stringify(stage)).join('\n---\n');
}

interface StageOptions {
  readonly selector: readonly Json[];
  readonly delayMs?: number;
  /** Without it the object is deleted. */
  readonly statusTemplate?: string;
}

function stage(name: string, kind: 'Node' | 'Pod', options: StageOptions): Json {
  return {
    apiVersion: 'kwok.x-k8s.io/v1alpha1',
    kind: 'Stage',
    metadata: { name },
    spec: {
      resourceRef: { apiGroup: 'v1', kind },
      selector: { matchExpressions: options.selector },
      ...(options.delayMs === undefined ? {} : { delay: { durationMilliseconds: options.delayMs } }),
      next: options.statusTemplate ? { statusTemplate: options.statusTemplate } : { delete: true },
    },
  };
}

/**
 * `Logs` and `PortForward` tell KWOK, which plays the kubelet, where a pod's log file and its ports are. The schemas are
 * open: KWOK checks what it reads, and its own 500 lines a definition say no more than that.
 */
export const kwokDefinitions = [
  definition('Logs', 'logs', 'logs'),
  definition('PortForward', 'portforwards', 'portforward'),
];

function definition(kind: string, plural: string, singular: string) {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.kwok.x-k8s.io` },
    spec: {
      group: 'kwok.x-k8s.io',
      scope: 'Namespaced',
      names: { kind, plural, singular, listKind: `${kind}List` },
      versions: [
        {
          name: 'v1alpha1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          subresources: { status: {} },
        },
      ],
    },
  };
}
