const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The number that a Kubernetes quantity such as `80Gi` or `500m` stands for; undefined for text that is none. */
export function quantityValue(text: string): number | undefined {
  const [, number, unit] = /^([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)$/.exec(text) ?? [];
  const factor = UNITS[unit ?? '?'];
  return number === undefined || factor === undefined ? undefined : Number(number) * factor;
}

/**
 * Bytes of a quantity.
 *
 * Fails when: it is none, which the resource's schema rules out.
 */
export function quantityBytes(quantity: string): number {
  const value = quantityValue(quantity);
  if (value === undefined) throw new RangeError(`not a quantity: ${quantity}`);
  return value;
}
