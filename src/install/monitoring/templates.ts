import { RUNBOOK } from './alerts.ts';
import { dashboardConfig, prometheusRule } from './parts.ts';

/** The labels of every object of the installation, and those of a value. */
export const labelsWith = (value: string): string =>
  `{{ merge (dict "app.kubernetes.io/name" "qwen-coder-operator" "app.kubernetes.io/instance" $.Release.Name) $.Values.${value} | toJson }}`;

/** Templates of the chart. They read files, because rules and dashboards have braces of their own. */
export const MONITORING_TEMPLATES = {
  prometheusrule: {
    part: prometheusRule,
    when: '$.Values.monitoring.prometheusRule.enabled',
    fields: {
      '/metadata/labels': labelsWith('monitoring.prometheusRule.labels'),
      '/spec': `{{ $.Files.Get "files/alerts.yaml" | replace "${RUNBOOK}#" (printf "%s#" $.Values.monitoring.prometheusRule.runbook) | fromYaml | toJson }}`,
    },
  },
  dashboard: {
    part: dashboardConfig,
    when: '$.Values.monitoring.dashboard.enabled',
    fields: {
      '/metadata/labels': labelsWith('monitoring.dashboard.labels'),
      '/data/qwen-coder-operator.json': '{{ $.Files.Get "files/dashboard.json" | toJson }}',
    },
  },
};
