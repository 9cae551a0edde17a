import { JsonPatch } from 'cdk8s';
import { toYaml } from '../yaml.ts';
import { MONITORING_TEMPLATES, labelsWith } from './monitoring/templates.ts';
import * as parts from './parts.ts';

/** One file of `templates/`: a part of the installation with values in some of its fields. */
interface Template {
  readonly part: parts.Part;
  /** Rendered only if this is true. */
  readonly when?: string;
  /** Rendered once for each item of this list, which is `.` inside. */
  readonly each?: string;
  /** JSON path of a field → the expression that stands there. */
  readonly fields?: Readonly<Record<string, string>>;
}

// `$` is the chart's root everywhere, also inside `range`.
const WHO = { name: '{{ $.Release.Name }}', namespace: '{{ $.Release.Namespace }}' };

/** A value as it is. JSON is YAML, so numbers, texts, lists and maps all go the same way. */
const value = (path: string): string => `{{ toJson $.Values.${path} }}`;

const POD = '/spec/template/spec';
const OPERATOR = `${POD}/containers/0`;

const TEMPLATES: Readonly<Record<string, Template>> = {
  crd: {
    part: parts.crd,
    when: '$.Values.crds.install',
    fields: {
      '/metadata/annotations':
        '{{ $.Values.crds.keep | ternary (dict "helm.sh/resource-policy" "keep") dict | toJson }}',
    },
  },
  serviceaccount: { part: parts.serviceAccount },
  'rights-cluster-wide': { part: parts.clusterWideRights, when: 'not $.Values.namespaces' },
  'rights-gpu-accounting': { part: parts.accountingRights, when: '$.Values.namespaces' },
  'rights-in-namespaces': { part: parts.servingRights('{{ . }}'), each: '$.Values.namespaces' },
  'rights-lease': { part: parts.leaseRights },
  lease: { part: parts.lease },
  'rights-calibrations': { part: parts.calibrationRights },
  calibrations: { part: parts.calibrations },
  'rights-secret': { part: parts.secretRights },
  secret: { part: parts.secret },
  deployment: {
    part: parts.deployment({
      version: '{{ $.Chart.AppVersion }}',
      image: '{{ $.Values.image.repository }}:{{ $.Values.image.tag | default $.Chart.AppVersion }}',
      flags: [
        '{{- with $.Values.namespaces }}',
        '--namespaces={{ join "," . }}',
        '{{- end }}',
        '{{- range $flag, $value := $.Values.flags }}',
        '{{ printf "--%s=%v" $flag $value | toJson }}',
        '{{- end }}',
      ],
    }),
    fields: {
      '/spec/replicas': value('replicas'),
      '/spec/template/metadata/annotations': value('podAnnotations'),
      [`${POD}/affinity`]: value('affinity'),
      [`${POD}/imagePullSecrets`]: value('imagePullSecrets'),
      [`${POD}/nodeSelector`]: value('nodeSelector'),
      [`${POD}/priorityClassName`]: value('priorityClassName'),
      [`${POD}/securityContext`]: value('podSecurityContext'),
      [`${POD}/tolerations`]: value('tolerations'),
      [`${OPERATOR}/env`]: value('env'),
      [`${OPERATOR}/imagePullPolicy`]: value('image.pullPolicy'),
      [`${OPERATOR}/resources`]: value('resources'),
    },
  },
  poddisruptionbudget: { part: parts.disruptionBudget },
  service: { part: parts.metricsService },
  servicemonitor: {
    part: parts.serviceMonitor,
    when: '$.Values.serviceMonitor.enabled',
    fields: {
      '/metadata/labels': labelsWith('serviceMonitor.labels'),
      '/spec/endpoints/0/interval': value('serviceMonitor.interval'),
    },
  },
  podmonitor: {
    part: parts.podMonitor,
    when: '$.Values.podMonitor.enabled',
    fields: {
      '/metadata/labels': labelsWith('podMonitor.labels'),
      '/spec/namespaceSelector':
        '{{ empty $.Values.namespaces | ternary (dict "any" true) (dict "matchNames" $.Values.namespaces) | toJson }}',
      '/spec/podMetricsEndpoints/0/interval': value('podMonitor.interval'),
    },
  },
  ...MONITORING_TEMPLATES,
  networkpolicy: {
    part: parts.networkPolicy,
    when: '$.Values.networkPolicy.enabled',
    fields: {
      '/spec/ingress/0/from': value('networkPolicy.metricsFrom'),
      '/spec/egress': value('networkPolicy.egress'),
    },
  },
};

/** Name and content of every file of `templates/`. */
export const templates = (): Record<string, string> =>
  Object.fromEntries(Object.entries(TEMPLATES).map(([name, template]) => [`${name}.yaml`, templateText(template)]));

function templateText({ part, when, each, fields = {} }: Template): string {
  const [first, ...others] = parts.objectsOf(part, WHO);
  const expressions = Object.entries(fields).map(([path, expression]) => JsonPatch.add(path, expression));
  const text = withExpressions(toYaml([JsonPatch.apply(first, ...expressions), ...others]));
  if (each !== undefined) return `{{- range ${each} }}\n---\n${text}{{- end }}\n`;
  return when === undefined ? text : `{{- if ${when} }}\n${text}{{- end }}\n`;
}

/** Takes away what YAML does to an expression: quotes around what gives JSON, and the dash of a line that only steers. */
const withExpressions = (yaml: string): string =>
  yaml
    .replaceAll(/^( *)- (["'])(\{\{- .*\}\})\2$/gm, '$1$3')
    .replaceAll(/(["'])(\{\{ [^{}]*toJson[^{}]*\}\})\1/g, '$2');
