import { stringify } from 'yaml';

/**
 * Objects as one YAML stream for `kubectl` and Helm. These read YAML 1.1, in which a bare `Off` or `y` is a boolean, so such text is
 * quoted.
 */
export const toYaml = (objects: readonly unknown[]): string =>
  objects
    .map((object) =>
      stringify(object, { version: '1.1', lineWidth: 0, indentSeq: false, aliasDuplicateObjects: false }),
    )
    .join('---\n');
