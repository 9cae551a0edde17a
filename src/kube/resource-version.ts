/**
 * Orders two resource versions of one resource: negative when `a` is older, 0 when equal, positive when `a` is newer.
 *
 * Versions are decimal numbers without leading zeros and comparable within a resource (KEP-5504, stable in Kubernetes 1.35), so the
 * longer one is the larger one; apimachinery's `pkg/util/resourceversion` compares them in the same way. They exceed 2^53 on no
 * known server, yet nothing forbids it, hence no `Number`; and a string costs no allocation, where a BigInt costs one per event.
 */
export function compareVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
