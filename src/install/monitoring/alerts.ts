import type { ReasonOf } from '../../api/index.ts';

/** One alert: when it fires, and what the person does whom it wakes. */
export interface Alert {
  readonly name: string;
  readonly severity: 'critical' | 'warning';
  readonly expr: string;
  /** How long `expr` holds before anybody is told. */
  readonly after: string;
  readonly summary: string;
  /** With values of labels, as Prometheus templates. */
  readonly description: string;
  /** What is the case, for the runbook. */
  readonly meaning: string;
  /** Commands to begin with; `$NS` and `$NAME` are those of the resource. */
  readonly look: readonly string[];
  readonly remedy: string;
}

const RESOURCE = 'resource_namespace, resource_name';
const SUBJECT = '{{ $labels.resource_namespace }}/{{ $labels.resource_name }}';
/** Whatever scrapes, these tell one process from another, and one installation from another. */
const PROCESS = 'namespace, job, instance';
const INSTALLATION = 'namespace, job';
/** Other operators have metrics of the same names. */
const OURS = 'and on (job, instance) qwen_coder_build_info';
const QUEUE = 'name="qwencoderdeployment"';

const OPERATOR = '-n qwen-coder-system';
const PODS = `${OPERATOR} -l app.kubernetes.io/name=qwen-coder-operator`;
const GET_PODS = `kubectl get pods ${PODS} -o wide`;
const LEASE = `kubectl get lease ${OPERATOR} qwen-coder-operator -o yaml`;
const DESCRIBE = 'kubectl describe qcd -n "$NS" "$NAME"';
const OF_GATEWAYS = '-n "$NS" -l qwencoder.dev/resource="$NAME",app.kubernetes.io/component=gateway';
const ACCESSES = `kubectl logs ${OF_GATEWAYS} --prefix=false --tail=5000 | jq -c 'select(.requestId and .operation)'`;
const HISTORY = `kubectl logs ${PODS} --prefix=false --tail=-1 | jq -c --arg key "$NS/$NAME" 'select(.key == $key)'`;
const PROBLEMS = `kubectl logs ${PODS} --prefix=false --tail=-1 | jq -c 'select(.level == "warn" or .level == "error")'`;

/** Both the leader and those that stand by tell of every resource. */
const condition = (selector: string): string => `max by (${RESOURCE}) (qwen_coder_resource_condition{${selector}})`;
const conditionReason = (selector: string): string =>
  `max by (${RESOURCE}, reason) (qwen_coder_resource_condition{${selector}})`;

/** Of the gateways, which know no resource: whatever scrapes them names it. */
const requests = (selector: string): string =>
  `sum by (${RESOURCE}) (increase(qwen_coder_gateway_requests_total${selector}[10m]))`;
/** No endpoint, no complaint about how it serves: another alert tells, or it was stopped on purpose. */
const UNLESS_DOWN = `unless on (${RESOURCE}) ${condition('condition="EndpointReady",status="False"')}`;

/** For conditions that come and go. */
const lately = (selector: string, window: string): string =>
  `max by (${RESOURCE}) (max_over_time(qwen_coder_resource_condition{${selector}}[${window}]))`;

/** Reasons of engines that end although they had answered. */
const CRASHES: readonly ReasonOf<'EnginesReady'>[] = [
  'EngineCrashed',
  'NotReady',
  'OutOfGpuMemory',
  'OutOfHostMemory',
  'SharedMemoryTooSmall',
  'GpuCommunicationFailed',
  'GpuFault',
  'DiskFull',
];

/** About single resources: for the team that owns one. */
export const RESOURCE_ALERTS: readonly Alert[] = [
  {
    name: 'QwenCoderEndpointDown',
    severity: 'critical',
    expr: `${condition('condition="EndpointReady",status="False",reason=~"NoReadyEngine|GatewayNotReady|GatewayStarting"')} and on (${RESOURCE}) max by (${RESOURCE}) (max_over_time(qwen_coder_resource_condition{condition="EndpointReady",status="True"}[1d]))`,
    after: '15m',
    summary: 'An endpoint that was served is not any more.',
    description: `${SUBJECT} has not answered for 15 minutes, and within the last day it did: no engine is ready, or no gateway. Clients wait in vain, or reach nobody.`,
    meaning:
      'The endpoint answered within the last day and has not for 15 minutes. NoReadyEngine: gateways hold requests, for 15 minutes each, and then refuse them. GatewayNotReady or GatewayStarting: nobody even answers. A rollout of a single replica looks like the first until its engine is loaded.',
    look: [
      DESCRIBE,
      'kubectl get pods -n "$NS" -l qwencoder.dev/resource="$NAME" -o wide',
      `kubectl logs ${OF_GATEWAYS} --tail=20`,
      HISTORY,
    ],
    remedy:
      'EndpointReady says which of the two it is. GatewayNotReady: its message has the cause, most often an image of the operator that nodes cannot pull, or a Secret of keys that is missing. NoReadyEngine: the first of Planned, ModelAvailable, Placed and EnginesReady that is not True says why; its reason is in the table of reasons. After an edit that does no good, edit it back: the older revision starts from weights and kernels that are there.',
  },
  {
    name: 'QwenCoderNotReady',
    severity: 'warning',
    expr: `${condition('condition="Ready",status!="True",reason!~"Suspended|NoReplicasWanted|WeightsNotAvailable"')} unless on (${RESOURCE}) ${condition('condition="Stalled",status="True"')}`,
    after: '45m',
    summary: 'A resource does not become Ready.',
    description: `${SUBJECT} has not been Ready for 45 minutes, although nothing is known to block it.`,
    meaning:
      'Something is under way and takes too long. The latest spec does not serve; an older one may. Suspended resources, those that want no replica and those that wait for weights do not count.',
    look: [DESCRIBE, 'kubectl logs -n "$NS" "deploy/$NAME-engine-0" --tail=50', HISTORY],
    remedy:
      'Reconciling says what is waited for. An engine that loads shows its progress in its log; one that does not is most often short of memory or of bandwidth to its volume.',
  },
  {
    name: 'QwenCoderStalled',
    severity: 'warning',
    expr: conditionReason('condition="Stalled",status="True",reason!="CrashLooping"'),
    after: '10m',
    summary: 'A resource is stalled: waiting will not help.',
    description: `${SUBJECT} is stalled: {{ $labels.reason }}. Nothing gets better until the resource or the cluster changes.`,
    meaning: 'The operator cannot go on by itself. The label reason is a word of the table of reasons.',
    look: [DESCRIBE, `kubectl get qcd -n "$NS" "$NAME" -o jsonpath='{.status.plan.rejected}'`],
    remedy: 'Do what the table of reasons says of it; the message of condition Stalled has names and numbers.',
  },
  {
    name: 'QwenCoderCrashLooping',
    severity: 'warning',
    // The condition flaps: between two crashes the engine is starting, or it serves. Edits and scaling lower the count of ready engines
    // as well, so it takes a crash besides; one crash is healed and told by an Event.
    expr: `${lately('condition="EnginesReady",reason="CrashLooping"', '10m')} or (max by (${RESOURCE}) (resets(qwen_coder_resource_replicas{state="ready"}[2h])) >= 3 and on (${RESOURCE}) ${lately(`condition="EnginesReady",status="False",reason=~"${CRASHES.join('|')}"`, '30m')})`,
    after: '10m',
    summary: 'An engine ends again and again.',
    description: `An engine of ${SUBJECT} ends again and again: as it starts, or three times within two hours as it served.`,
    meaning: 'vLLM ends right after its start, or after a while, and each start takes minutes.',
    look: [
      DESCRIBE,
      'kubectl get pods -n "$NS" -l qwencoder.dev/resource="$NAME",app.kubernetes.io/component=engine',
      'kubectl logs -n "$NS" "deploy/$NAME-engine-0" --previous --tail=100',
    ],
    remedy:
      'The message of EnginesReady quotes its last words. Out of memory: condition Tuned says what the operator tries; a pinned context.maxModelLen is yours to lower. Else correct engine.args, engine.env or engine.image.',
  },
  {
    name: 'QwenCoderUnschedulable',
    severity: 'warning',
    expr: `${conditionReason('condition="Placed",reason="Unschedulable"')} or ${conditionReason('condition="ModelAvailable",reason=~"VolumePending|FetchUnschedulable"')}`,
    after: '15m',
    summary: 'Pods of a resource find no node.',
    description: `Pods of ${SUBJECT} have found no node for 15 minutes: {{ $labels.reason }}.`,
    meaning:
      'Unschedulable: an engine finds no node, most often because others hold the GPUs. FetchUnschedulable: the Job that fetches the weights finds none, which asks for the GPUs of an engine where the volume is ReadWriteOnce. VolumePending: its claim is not bound, or is not there.',
    look: [
      DESCRIBE,
      'kubectl get pvc -n "$NS" -l qwencoder.dev/resource="$NAME"',
      `kubectl get pods -A --field-selector=status.phase=Running -o json | jq -r '.items[] | select(any(.spec.containers[]; .resources.limits["nvidia.com/gpu"])) | [.spec.nodeName, .metadata.namespace, .metadata.name] | @tsv' | sort`,
    ],
    remedy:
      'Free or add GPUs of the planned product, set the fields that the message names where others could start sooner, or correct placement. VolumePending: name a storage class that exists and can do the size and access mode, or a claim that exists. A ReadWriteOnce volume ties engines to its node: where that node is full, storage.accessMode ReadWriteMany helps, or another claim.',
  },
  {
    name: 'QwenCoderWeightsSlow',
    severity: 'warning',
    expr: condition('condition="ModelAvailable",status="False",reason="Fetching"'),
    after: '6h',
    summary: 'Weights have been fetched for hours.',
    description: `The weights of ${SUBJECT} have been fetched for 6 hours.`,
    meaning: '80 GB take 6 hours at 4 MB/s. Either the way to the hub is that slow, or the Job hangs.',
    look: [
      'kubectl logs -n "$NS" -l qwencoder.dev/resource="$NAME",app.kubernetes.io/component=weights --tail=20',
      'kubectl get jobs,pods -n "$NS" -l qwencoder.dev/resource="$NAME",app.kubernetes.io/component=weights',
    ],
    remedy:
      'Use a mirror in model.source.endpoint. A Job that hangs may be deleted: the next one resumes what is there.',
  },
  {
    name: 'QwenCoderHubUnreachable',
    severity: 'warning',
    // Between two Jobs it is fetching for a moment.
    expr: lately('condition="ModelAvailable",status="False",reason="HubUnreachable"', '10m'),
    after: '20m',
    summary: 'Weights cannot be fetched: the hub does not answer.',
    description: `The weights of ${SUBJECT} have not been fetched for 20 minutes: the hub cannot be reached, or answers with errors.`,
    meaning: 'It is tried again and again. Either the hub is away, or nothing leads to it from the namespace.',
    look: [
      DESCRIBE,
      'kubectl logs -n "$NS" -l qwencoder.dev/resource="$NAME",app.kubernetes.io/component=weights --tail=20',
      'kubectl get networkpolicies -n "$NS"',
    ],
    remedy:
      'Let pods with the label app.kubernetes.io/component=weights reach the hub, start the operator with --weights-proxy, or name a mirror in model.source.endpoint.',
  },
  {
    name: 'QwenCoderReplicasMissing',
    severity: 'warning',
    expr: `(max by (${RESOURCE}) (qwen_coder_resource_replicas{state="wanted"}) > max by (${RESOURCE}) (qwen_coder_resource_replicas{state="ready"})) and on (${RESOURCE}) ${condition('condition="Ready",status="True"')}`,
    after: '1h',
    summary: 'A resource serves with fewer replicas than wanted.',
    description: `${SUBJECT} is Ready and has had fewer ready replicas than wanted for an hour.`,
    meaning: 'One engine is enough for Ready. The others are missing, and those that serve carry their load.',
    look: [
      DESCRIBE,
      'kubectl get pods -n "$NS" -l qwencoder.dev/resource="$NAME",app.kubernetes.io/component=engine -o wide',
    ],
    remedy: 'Placed and EnginesReady say what the others wait for. Ask for fewer if the GPUs are not there.',
  },
  {
    name: 'QwenCoderRequestsHeld',
    severity: 'warning',
    expr: `max by (${RESOURCE}) (qwen_coder_gateway_longest_held_seconds) > 60 ${UNLESS_DOWN}`,
    after: '10m',
    summary: 'Requests wait long for an engine.',
    description: `For 10 minutes there has been a client of ${SUBJECT} that waits for longer than a minute.`,
    meaning:
      'Engines answer and are full: each works on as many requests as it decodes at once, and the others wait in turns by key. After 15 minutes a request is refused with 503.',
    look: [
      'kubectl get qcd -n "$NS" "$NAME"',
      `${ACCESSES} | jq -r 'select(.heldMs > 0) | .holder' | sort | uniq -c`,
      'kubectl logs -n "$NS" "deploy/$NAME-engine-0" --tail=20',
    ],
    remedy:
      'Add a replica where there are GPUs. qwen_coder_gateway_key_in_flight and qwen_coder_gateway_held say whose requests they are; a key that floods delays itself most, and has 256 answers at once at most.',
  },
  {
    name: 'QwenCoderGatewayErrors',
    severity: 'warning',
    // Three of three at night wake nobody.
    expr: `(${requests('{code=~"0|5.."}')} / ${requests('')} > 0.05 and on (${RESOURCE}) ${requests('{code=~"0|5.."}')} > 5) ${UNLESS_DOWN}`,
    after: '10m',
    summary: 'An endpoint fails its clients.',
    description: `More than a twentieth of the requests to ${SUBJECT} have failed for 10 minutes, although an engine answers.`,
    meaning:
      'Of the codes, 503 is a request that no engine took in its time, 0 an engine that broke off in the middle of an answer, 500 an error of the engine itself, 502 one of the gateway, 504 an engine that said nothing for an hour.',
    look: [
      `${ACCESSES} | jq -c 'select(.status == 0 or .status >= 500)'`,
      `kubectl logs ${OF_GATEWAYS} --prefix=false --tail=5000 | jq -c 'select(.level == "warn" or .level == "error")'`,
      'kubectl get pods -n "$NS" -l qwencoder.dev/resource="$NAME" -o wide',
    ],
    remedy:
      'A line of the gateway that warns names the engine by the UID of its pod. An engine that ends is told by EnginesReady; one that errs says so in its log. 503: there are too few replicas for the work. A line "a request failed by a defect" is a bug: report it.',
  },
  {
    name: 'QwenCoderEditIgnored',
    severity: 'warning',
    expr: `min by (${RESOURCE}) (qwen_coder_resource_unobserved_generations) > 0`,
    after: '10m',
    summary: 'An edit of a resource was not looked at.',
    description: `The latest edit of ${SUBJECT} has had no answer in its status for 10 minutes.`,
    meaning: 'status.observedGeneration is behind metadata.generation: no operator leads, or each try to write fails.',
    look: [
      `kubectl get qcd -n "$NS" "$NAME" -o jsonpath='{.metadata.generation} {.status.observedGeneration}{"\\n"}'`,
      LEASE,
      HISTORY,
    ],
    remedy: 'With --namespaces, see that the namespace is named. Else the log lines of the resource say what fails.',
  },
];

/** About the operator itself: for the platform team. Engines go on serving whatever these say. */
export const OPERATOR_ALERTS: readonly Alert[] = [
  {
    name: 'QwenCoderOperatorDown',
    severity: 'critical',
    expr: 'absent(qwen_coder_build_info)',
    after: '10m',
    summary: 'No operator is scraped.',
    description: 'No metrics of qwen-coder-operator have come for 10 minutes: none runs, or none is scraped.',
    meaning:
      'Nothing is healed, replaced or scaled. Engines that run go on serving, and Kubernetes restarts those that crash.',
    look: [GET_PODS, `kubectl describe pods ${PODS}`, `kubectl logs ${PODS} --previous --tail=50`],
    remedy:
      'Where pods run, look at the ServiceMonitor, at the NetworkPolicy and at Prometheus. Exit code 1 ends a process that could not go on; its last line says why. Exit code 137 is memory: raise its limit.',
  },
  {
    name: 'QwenCoderOperatorRestarting',
    severity: 'warning',
    expr: `changes(process_start_time_seconds[1h]) > 3 ${OURS}`,
    after: '5m',
    summary: 'The operator restarts again and again.',
    description: '{{ $labels.instance }} of {{ $labels.job }} has started more than 3 times within an hour.',
    meaning: 'Each start reads the world anew, and nothing happens meanwhile unless another one leads.',
    look: [GET_PODS, `kubectl logs ${PODS} --previous --tail=50`],
    remedy:
      'A lost Lease ends the process on purpose: look at the latency of the API server. Exit code 137 is memory. /healthz fails after three minutes without a word on a watch.',
  },
  {
    name: 'QwenCoderNoLeader',
    severity: 'critical',
    expr: `sum by (${INSTALLATION}) (leader_election_master_status ${OURS}) == 0`,
    after: '5m',
    summary: 'Operators run and none leads.',
    description: 'No process of {{ $labels.job }} has led for 5 minutes, so nothing is reconciled.',
    meaning: 'None can take the Lease, or none has filled its caches. After a crash it takes 20 seconds at most.',
    look: [LEASE, PROBLEMS],
    remedy:
      'A holder that does not exist any more is overruled when the Lease expires; if renewTime moves, somebody holds it outside of this installation. Else the log names the request that fails: rights (403) or the API server.',
  },
  {
    name: 'QwenCoderTwoLeaders',
    severity: 'critical',
    // A leader that was killed counts until the scrape that misses it.
    expr: `sum by (${INSTALLATION}) (leader_election_master_status ${OURS}) > 1`,
    after: '3m',
    summary: 'Two operators say that they lead.',
    description: 'More than one process of {{ $labels.job }} has led for 3 minutes.',
    meaning:
      'Two write at once and undo each other. Ordinarily two installations that serve the same resources under two Leases and are scraped as one job.',
    look: [
      GET_PODS,
      'kubectl get leases -A | grep qwen-coder',
      'kubectl get deploy -A -l app.kubernetes.io/name=qwen-coder-operator',
    ],
    remedy:
      'Keep one installation, or give each its own --namespaces. With one Lease only, delete the pod that it does not name.',
  },
  {
    name: 'QwenCoderReconcileErrors',
    severity: 'warning',
    expr: `sum by (${INSTALLATION}) (increase(controller_runtime_reconcile_errors_total{controller="qwencoderdeployment"}[15m])) > 3`,
    after: '15m',
    summary: 'Reconciles keep failing.',
    description: '{{ $labels.job }}: more than 3 reconciles failed in each of the last quarters of an hour.',
    meaning:
      'What a user can mend is a condition and no error. These are errors between operator and API server, or bugs.',
    look: [PROBLEMS, `kubectl auth can-i --list --as=system:serviceaccount:qwen-coder-system:qwen-coder-operator`],
    remedy:
      'The lines "reconcile failed" carry key, code and message. 403: install the rights of this version. 409 that lasts: somebody else writes the same fields. A line with a stack is a bug: report it.',
  },
  {
    name: 'QwenCoderQueueStuck',
    severity: 'warning',
    // Keys of one that stands by wait for it to lead.
    expr: `max by (${PROCESS}) (workqueue_longest_running_processor_seconds{${QUEUE}}) > 300 or (sum by (${PROCESS}) (workqueue_depth{${QUEUE}}) > 0 and on (${PROCESS}) rate(workqueue_work_duration_seconds_count{${QUEUE}}[10m]) == 0 and on (${PROCESS}) leader_election_master_status == 1)`,
    after: '10m',
    summary: 'Resources wait in the queue and nothing is done.',
    description: '{{ $labels.instance }} of {{ $labels.job }} leads and does not get on with its queue.',
    meaning: 'A reconcile takes milliseconds. One that takes minutes hangs on a request, or the process is out of CPU.',
    look: [`kubectl top pods ${PODS}`, PROBLEMS],
    remedy:
      'Look at CPU throttling and at the latency of the API server. Deleting the pod that leads is safe: the other one takes over.',
  },
  {
    name: 'QwenCoderWatchStale',
    severity: 'warning',
    // A process that has heard nothing for three minutes is restarted, which starts the count anew.
    expr: `max by (${PROCESS}, kind) (max_over_time(qwen_coder_watch_silence_seconds[15m])) > 150`,
    after: '5m',
    summary: 'The operator hears nothing on a watch.',
    description:
      '{{ $labels.instance }} of {{ $labels.job }} hears nothing of {{ $labels.kind }} objects for minutes at a time.',
    meaning:
      'Its picture of the cluster is old. A watch on which nothing happens is opened again after 90 s, so the API server cannot be reached.',
    look: [PROBLEMS, `kubectl get --raw '/readyz?verbose'`],
    remedy:
      'Look for what cuts long connections between the operator and the API server: a proxy, a firewall, a load balancer with an idle timeout.',
  },
  {
    name: 'QwenCoderApiThrottled',
    severity: 'warning',
    expr: `sum by (${INSTALLATION}) (rate(rest_client_requests_total{code="429"}[10m]) ${OURS}) > 0.1`,
    after: '15m',
    summary: 'The API server throttles the operator.',
    description: '{{ $labels.job }} has been answered 429 more than six times a minute for 15 minutes.',
    meaning: 'API Priority and Fairness puts its requests off. It waits as it is told, so everything takes longer.',
    look: [`kubectl get --raw /debug/api_priority_and_fairness/dump_priority_levels`, 'kubectl get flowschemas'],
    remedy: 'Give the ServiceAccount a FlowSchema of its own, or lower --requests-per-second and --workers.',
  },
  {
    name: 'QwenCoderApiErrors',
    severity: 'warning',
    expr: `sum by (${INSTALLATION}) (rate(rest_client_requests_total{code=~"5..|<error>"}[10m]) ${OURS}) / sum by (${INSTALLATION}) (rate(rest_client_requests_total[10m]) ${OURS}) > 0.1`,
    after: '15m',
    summary: 'The API server fails the operator.',
    description: '{{ $labels.job }}: more than a tenth of the requests have failed for 15 minutes.',
    meaning: 'The API server answers with 5xx, or not at all (code <error>).',
    look: [`kubectl get --raw '/readyz?verbose'`, PROBLEMS],
    remedy: 'See to the control plane; the operator tries again by itself.',
  },
];

export const ALERTS: readonly Alert[] = [...RESOURCE_ALERTS, ...OPERATOR_ALERTS];

/** Where the runbook is, unless somebody says otherwise: the README beside which the chart lies. */
export const RUNBOOK = 'README.md';

/**
 * The alerts as a file of Prometheus rules, which is also the `spec` of a PrometheusRule.
 *
 * @param runbook Path or address of the document that has one heading an alert.
 */
export const alertRules = (runbook = RUNBOOK): object => ({
  groups: [
    {
      name: 'qwen-coder-resources',
      // Whose resource it is decides who is told, not where the operator runs.
      rules: RESOURCE_ALERTS.map((alert) => rule(alert, runbook, { namespace: '{{ $labels.resource_namespace }}' })),
    },
    { name: 'qwen-coder-operator', rules: OPERATOR_ALERTS.map((alert) => rule(alert, runbook, {})) },
  ],
});

const rule = (alert: Alert, runbook: string, labels: Readonly<Record<string, string>>): object => ({
  alert: alert.name,
  expr: alert.expr,
  for: alert.after,
  labels: { severity: alert.severity, ...labels },
  annotations: {
    summary: alert.summary,
    description: alert.description,
    runbook_url: `${runbook}#${alert.name.toLowerCase()}`,
  },
});

/** The runbook in Markdown: an entry for each alert. */
export const runbookSection = (): string => ALERTS.map(runbookEntry).join('\n\n');

function runbookEntry({ name, severity, after, meaning, look, remedy }: Alert): string {
  const commands = ['```sh', ...look, '```'].join('\n');
  return [`#### ${name}`, `**${severity}**, after ${after}. ${meaning}`, commands, remedy].join('\n\n');
}
