import type { QwenCoderDeployment } from '../../src/api/index.ts';
import { KIND } from '../../src/api/index.ts';
import type { Secret } from '../../src/kube/index.ts';
import type { Canary } from './history.ts';

/** Shorter texts turn up by chance. */
const SHORTEST = 8;
const SECRET_NAME = /TOKEN|KEY|SECRET|PASSWORD|CREDENTIAL/i;

/** Texts of an object that nothing but the object may show: a Secret's values, and variables of a resource that are named like one. */
export function canariesOf(kind: string, object: object): Canary[] {
  switch (kind) {
    case 'Secret':
      return secretValues(object);
    case KIND:
      return variables(object as QwenCoderDeployment);
    default:
      return [];
  }
}

const secretValues = ({ metadata, data }: Secret): Canary[] =>
  Object.entries(data ?? {})
    .map(([key, value]) => ({
      value: Buffer.from(value, 'base64').toString('utf8'),
      from: `key ${key} of Secret ${metadata!.namespace}/${metadata!.name}`,
    }))
    .filter(isLong);

const variables = ({ metadata, spec }: QwenCoderDeployment): Canary[] =>
  (spec.engine?.env ?? [])
    .filter(({ name }) => SECRET_NAME.test(name))
    .map(({ name, value }) => ({
      value: value ?? '',
      from: `variable ${name} of ${metadata.namespace}/${metadata.name}`,
    }))
    .filter(isLong);

const isLong = ({ value }: Canary): boolean => value.length >= SHORTEST;
