import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { barCells, PARTS } from '../../src/preview/memory-bar.ts';

const bytes = fc.integer({ min: 0, max: 2 ** 38 });

test('a bar is as wide as asked, shows every part that there is, and none that is not', () => {
  fc.assert(
    fc.property(fc.array(bytes, { minLength: 5, maxLength: 5 }), fc.integer({ min: 10, max: 200 }), (sizes, width) => {
      const total = sizes.reduce((sum, size) => sum + size, 0);
      fc.pre(total > 0);
      const [weights, overhead, recurrentState, kvCache, free] = sizes as [number, number, number, number, number];
      const memory = { total, weights, overhead, recurrentState, kvCache, free };
      const cells = barCells(memory, width);
      expect(PARTS.reduce((sum, part) => sum + cells[part], 0)).toBe(width);
      for (const part of PARTS) {
        expect(cells[part] > 0).toBe(memory[part] > 0);
        expect(Math.abs(cells[part] - (memory[part] / total) * width)).toBeLessThan(PARTS.length);
      }
    }),
  );
});
