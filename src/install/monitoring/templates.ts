import { RUNBOOK } from './alerts.ts';
import { dashboardConfig, prometheusRule } from './parts.ts';

const labels = (more: string): string =>
  `{{ merge (dict "app.kubernetes.io/name" "qwen-coder-operator" "app.kubernetes.io/instance" $.Release.Name) $.Values.monitoring.${more} | toJson }}`;

/** Templates of the chart. They read files, because rules and dashboards have braces of their own. */
export const MONITORING_TEMPLATES = {
  prometheusrule: {
    part: prometheusRule,
    when: '$.Values.monitoring.prometheusRule.enabled',
    fields: {
      '/metadata/labels': labels('prometheusRule.labels'),
      '/spec': `{{ $.Files.Get "files/alerts.yaml" | replace "${RUNBOOK}#" (printf "%s#" $.Values.monitoring.prometheusRule.runbook) | fromYaml | toJson }}`,
    },
  },
  dashboard: {
    part: dashboardConfig,
    when: '$.Values.monitoring.dashboard.enabled',
    fields: {
      '/metadata/labels': labels('dashboard.labels'),
      '/data/qwen-coder-operator.json': '{{ $.Files.Get "files/dashboard.json" | toJson }}',
    },
  },
};
