import { expect, test } from 'vitest';
import { mergeExpositions } from '../../src/gateway/engine-metrics.ts';

test('expositions are merged by family, and each sample says whose it is', () => {
  const text = (value: number) =>
    `# HELP a Things.\n# TYPE a gauge\na{x="1"} ${value}\n# HELP b More.\n# TYPE b histogram\nb_bucket{le="+Inf"} ${value}\nb_count ${value}\nb_odd{} ${value}\n`;
  expect(
    mergeExpositions([
      { id: 'u', text: text(1) },
      { id: 'v', text: text(2) },
      { id: 'w', text: '' },
    ]),
  ).toBe(`# HELP a Things.
# TYPE a gauge
a{replica="u",x="1"} 1
a{replica="v",x="1"} 2

# HELP b More.
# TYPE b histogram
b_bucket{replica="u",le="+Inf"} 1
b_count{replica="u"} 1
b_odd{replica="u"} 1
b_bucket{replica="v",le="+Inf"} 2
b_count{replica="v"} 2
b_odd{replica="v"} 2
`);
});
