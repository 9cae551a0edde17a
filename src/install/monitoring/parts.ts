import { ApiObject } from 'cdk8s';
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type { Part } from '../parts.ts';
import { alertRules } from './alerts.ts';
import { dashboard } from './dashboard.ts';

/** The alerts, for the Prometheus operator. */
export const prometheusRule: Part = (chart, who) =>
  new ApiObject(chart, 'prometheusrule', {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: who.name, namespace: who.namespace },
    spec: alertRules(),
  });

/** The dashboard, for the sidecar that Grafana's chart brings. */
export const dashboardConfig: Part = (chart, who) =>
  new k8s.KubeConfigMap(chart, 'dashboard', {
    metadata: { name: `${who.name}-dashboard`, namespace: who.namespace, labels: { grafana_dashboard: '1' } },
    data: { 'qwen-coder-operator.json': JSON.stringify(dashboard()) },
  });
