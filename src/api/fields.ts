import * as z from 'zod';
import { atMost, rule } from './rule.ts';

// Bounded strings of the API. Each has an upper length, since the API server must be able to bound the cost of the CEL
// rules over it, and a pattern that means the same in JavaScript and in RE2: no look-around, no \s, no \w.

const DNS_1123_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED_NAME = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;

/** The name of an object that lives beside the resource. */
export const objectName = z.string().min(1).max(253).regex(DNS_1123_SUBDOMAIN);

/** A label key: `zone` or `example.com/zone`. */
export const labelKey = z.string().min(1).max(316).regex(QUALIFIED_NAME);

export const labelValue = z.string().max(63).regex(LABEL_VALUE);

/** An extended resource: `nvidia.com/gpu`. */
export const extendedResource = z
  .string()
  .min(3)
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/);

/** A Kubernetes quantity without sign and exponent: `80Gi`, `500m`. */
export const quantity = z
  .string()
  .min(1)
  .max(32)
  .regex(/^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$/);

/** A map whose keys are qualified names, as labels, annotations and resource lists have them. */
const qualifiedMap = <V extends z.ZodType>(value: V, maxProperties: number) =>
  rule(
    atMost(z.record(z.string(), value), maxProperties),
    {
      cel: `self.all(key, key.size() <= 316 && key.matches('${QUALIFIED_NAME.source.replaceAll(String.raw`\/`, '/')}'))`,
      message:
        'a key is a name of letters, digits, ".", "_" and "-", with a lower case domain and "/" before it where it has one; correct it',
    },
    (map) => Object.keys(map).every((key) => labelKey.safeParse(key).success),
  );

export const labels = qualifiedMap(labelValue, 64);

export const annotations = qualifiedMap(z.string().max(4096), 64);

export const resourceList = qualifiedMap(quantity, 16);

/** A key of a Secret in the namespace of the resource. */
export const SecretKey = z.strictObject({
  name: objectName.describe('Secret in the same namespace.'),
  key: z
    .string()
    .min(1)
    .max(253)
    .regex(/^[-._a-zA-Z0-9]+$/)
    .describe('Key within the Secret.'),
});
