/** `0.33.0` as numbers that compare. */
export type Version = readonly [number, number, number];

/** The version in a tag or a bare string; undefined where there is none. */
export function parseVersion(text: string): Version | undefined {
  const match = /^v?(\d+)\.(\d+)\.(\d+)/.exec(text);
  return match ? [Number(match[1]), Number(match[2]), Number(match[3])] : undefined;
}

/** The version that an image's tag names. */
export function imageVersion(image: string): string | undefined {
  const tag = /:([^:/@]+)(?:@|$)/.exec(image)?.[1];
  const version = tag === undefined ? undefined : parseVersion(tag);
  return version && version.join('.');
}

export const compareVersions = (a: Version, b: Version): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2];

/** Whether `version` is `than` or newer. */
export function isAtLeast(version: string, than: string): boolean {
  const [a, b] = [parseVersion(version), parseVersion(than)];
  if (!a || !b) throw new Error(`not versions: ${version}, ${than}`);
  return compareVersions(a, b) >= 0;
}

/**
 * Whether a version words things as 0.33.0 does rather than as 0.15.1. The sources of those two were read; where in between a wording
 * changed is not known, so one boundary stands for all.
 */
export const isNewWording = (version: string): boolean => isAtLeast(version, '0.24.0');
