import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { templates } from '../../src/install/helm.ts';
import { valuesFile } from '../../src/install/values-file.ts';
import { Values, flagSchemas, valuesSchema } from '../../src/install/values.ts';

describe('templates of the chart', () => {
  const all = Object.entries(templates());

  test.each(all.filter(([name]) => name !== 'crd.yaml'))('%s is short enough to read', (_, text) => {
    expect(text.split('\n').length).toBeLessThan(120);
  });

  test('take values as they are: nothing is computed but a list of flags', () => {
    const expressions = all.flatMap(([, text]) => text.match(/\{\{.*?\}\}/g) ?? []);
    expect([...new Set(expressions)].toSorted()).toMatchInlineSnapshot(`
      [
        "{{ $.Chart.AppVersion }}",
        "{{ $.Files.Get "files/alerts.yaml" | replace "README.md#" (printf "%s#" $.Values.monitoring.prometheusRule.runbook) | fromYaml | toJson }}",
        "{{ $.Files.Get "files/dashboard.json" | toJson }}",
        "{{ $.Release.Name }}",
        "{{ $.Release.Namespace }}",
        "{{ $.Values.crds.keep | ternary (dict "helm.sh/resource-policy" "keep") dict | toJson }}",
        "{{ $.Values.image.repository }}",
        "{{ $.Values.image.tag | default $.Chart.AppVersion }}",
        "{{ . }}",
        "{{ empty $.Values.namespaces | ternary (dict "any" true) (dict "matchNames" $.Values.namespaces) | toJson }}",
        "{{ join "," . }}",
        "{{ merge (dict "app.kubernetes.io/name" "qwen-coder-operator" "app.kubernetes.io/instance" $.Release.Name) $.Values.monitoring.dashboard.labels | toJson }}",
        "{{ merge (dict "app.kubernetes.io/name" "qwen-coder-operator" "app.kubernetes.io/instance" $.Release.Name) $.Values.monitoring.prometheusRule.labels | toJson }}",
        "{{ merge (dict "app.kubernetes.io/name" "qwen-coder-operator" "app.kubernetes.io/instance" $.Release.Name) $.Values.podMonitor.labels | toJson }}",
        "{{ merge (dict "app.kubernetes.io/name" "qwen-coder-operator" "app.kubernetes.io/instance" $.Release.Name) $.Values.serviceMonitor.labels | toJson }}",
        "{{ printf "--%s=%v" $flag $value | toJson }}",
        "{{ toJson $.Values.affinity }}",
        "{{ toJson $.Values.env }}",
        "{{ toJson $.Values.image.pullPolicy }}",
        "{{ toJson $.Values.imagePullSecrets }}",
        "{{ toJson $.Values.networkPolicy.egress }}",
        "{{ toJson $.Values.networkPolicy.metricsFrom }}",
        "{{ toJson $.Values.nodeSelector }}",
        "{{ toJson $.Values.podAnnotations }}",
        "{{ toJson $.Values.podMonitor.interval }}",
        "{{ toJson $.Values.podSecurityContext }}",
        "{{ toJson $.Values.priorityClassName }}",
        "{{ toJson $.Values.replicas }}",
        "{{ toJson $.Values.resources }}",
        "{{ toJson $.Values.serviceMonitor.interval }}",
        "{{ toJson $.Values.tolerations }}",
        "{{- end }}",
        "{{- if $.Values.crds.install }}",
        "{{- if $.Values.monitoring.dashboard.enabled }}",
        "{{- if $.Values.monitoring.prometheusRule.enabled }}",
        "{{- if $.Values.namespaces }}",
        "{{- if $.Values.networkPolicy.enabled }}",
        "{{- if $.Values.podMonitor.enabled }}",
        "{{- if $.Values.serviceMonitor.enabled }}",
        "{{- if not $.Values.namespaces }}",
        "{{- range $.Values.namespaces }}",
        "{{- range $flag, $value := $.Values.flags }}",
        "{{- with $.Values.namespaces }}",
      ]
    `);
  });

  test('use no value that the chart does not have', () => {
    const used = all.flatMap(([, text]) => [...text.matchAll(/\.Values\.([\w.]+)/g)].map(([, path]) => path!));
    const defaults = Values.parse({}) as Record<string, unknown>;
    const missing = used.filter(
      (path) =>
        path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], defaults) ===
        undefined,
    );
    expect(missing).toEqual([]);
  });
});

describe('values of the chart', () => {
  test('values.yaml holds every default', () => {
    expect(parse(valuesFile())).toEqual(Values.parse({}));
  });

  test('flags are those of the program that the chart does not set itself', () => {
    expect(Object.keys(flagSchemas())).toMatchInlineSnapshot(`
      [
        "workers",
        "requests-per-second",
        "burst",
        "tuning-idle-seconds",
        "weights-proxy",
        "weights-no-proxy",
        "weights-ca-configmap",
        "log-level",
      ]
    `);
  });

  test('the schema is closed where it names fields', () => {
    expect(valuesSchema()).toMatchObject({
      additionalProperties: false,
      properties: { flags: { additionalProperties: false }, image: { additionalProperties: false } },
    });
  });
});
