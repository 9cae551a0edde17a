import { describe, expect, test } from 'vitest';
import { CONDITIONS, REASONS } from '../../src/api/index.ts';
import { ALERTS, alertRules, runbookSection } from '../../src/install/monitoring/alerts.ts';
import { dashboard, dashboardExpressions } from '../../src/install/monitoring/dashboard.ts';
import { Metrics } from '../../src/runtime/index.ts';
import { exposition, gatewayExposition, metricNames } from '../support/exposition.ts';

/** Names that stand where a metric may: not a function, not a label. */
function metricsIn(expression: string): string[] {
  const bare = expression
    .replaceAll(/"[^"]*"/g, '""')
    .replaceAll(/\{[^}]*\}/g, '')
    .replaceAll(/\[[^\]]*\]/g, '')
    .replaceAll(/\b(by|on|ignoring|without|group_left|group_right) *\([^)]*\)/g, ' ')
    .replaceAll(/\b(and|or|unless)\b/g, ' ');
  return [...bare.matchAll(/\b[a-z_:][\w:]*\b(?! *\()/g)].map(([name]) => name);
}

/** `a_bucket` and its like are series of the histogram `a`. */
const base = (name: string): string => name.replace(/_(bucket|sum|count)$/, '');

const expressions = [
  ...ALERTS.map(({ name, expr }) => ({ name, expr })),
  ...dashboardExpressions().map((expr) => ({ name: `dashboard: ${expr}`, expr })),
];

describe('alerts and dashboard', () => {
  test.each(expressions)('$name asks for metrics that there are', async ({ expr }) => {
    const texts = [exposition(), gatewayExposition(), new Metrics({ process: true }).text()];
    const known = new Set((await Promise.all(texts)).flatMap(metricNames));
    const used = metricsIn(expr);
    expect(used).not.toEqual([]);
    expect(used.filter((name) => !known.has(name) && !known.has(base(name)))).toEqual([]);
  });

  test.each(expressions)('$name asks for conditions and reasons that there are', ({ expr }) => {
    const values = (label: string) =>
      [...expr.matchAll(new RegExp(`\\b${label}(?:=|!=|=~|!~)"([^"]*)"`, 'g'))].flatMap(([, value]) =>
        value!.split('|'),
      );
    expect(values('condition').filter((type) => !(type in CONDITIONS))).toEqual([]);
    expect(values('reason').filter((reason) => !(reason in REASONS))).toEqual([]);
  });
});

describe('alerts', () => {
  test('each has a name of its own, and an entry of the runbook that its address leads to', () => {
    const names = ALERTS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const anchors = [...runbookSection().matchAll(/^#### (.+)$/gm)].map(([, title]) => title!.toLowerCase());
    const addresses = [...JSON.stringify(alertRules('docs/on-call.md')).matchAll(/"runbook_url":"([^"]*)"/g)];
    expect(addresses.map(([, address]) => address)).toEqual(anchors.map((anchor) => `docs/on-call.md#${anchor}`));
    expect(anchors).toEqual(names.map((name) => name.toLowerCase()));
  });

  test('each takes effect in minutes to hours and names its subject', () => {
    for (const { after } of ALERTS) expect(after).toMatch(/^\d+[mh]$/);
    const nameless = ALERTS.filter(({ description }) => !/\{\{ \$labels\.\w+ \}\}/.test(description));
    // What is not there has no labels.
    expect(nameless.map(({ name }) => name)).toEqual(['QwenCoderOperatorDown']);
  });
});

interface Panel {
  readonly id: number;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
}

describe('dashboard', () => {
  const { panels } = dashboard() as { panels: readonly Panel[] };

  test('panels do not overlap and stay within the 24 columns', () => {
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)}/${y + Math.floor(index / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(Math.max(...panels.map(({ gridPos: { x, w } }) => x + w))).toBe(24);
  });

  test('panels have ids of their own', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  });
});
